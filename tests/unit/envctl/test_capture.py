"""Files for Wireshark, and packets in words, from frames made here."""

from __future__ import annotations

import io
import json
import os
import struct
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from brdhcp.dhcp.frame import arp_announce, arp_probe, arp_reply, arp_request, broadcast_frame
from brdhcp.dhcp.message import Message, MessageType
from brdhcp.dhcp.options import Option
from ruamel.yaml import YAML

from envctl import packets
from envctl.cli import main
from envctl.cli.watching import REMEMBERED, First
from envctl.pcapng import FormatError, Frame, PcapStream, Writer, read
from envctl.report.diagrams import sequence
from envctl.report.exchanges import exchanges
from tests.unit.envctl.fake import FakeProvider

MAC = "02:00:5e:00:00:07"
ADDRESS, SERVER = IPv4Address("172.16.91.131"), IPv4Address("172.16.91.254")
ARP = arp_announce(MAC, ADDRESS)


def message(kind: MessageType, options: dict[int, bytes] | None = None, **fields: Any) -> bytes:
    options = {int(Option.MESSAGE_TYPE): bytes([kind]), **(options or {})}
    return broadcast_frame(
        Message(chaddr=bytes.fromhex(MAC.replace(":", "")), xid=7, options=options, **fields).encode(), MAC
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            message(MessageType.DHCPDISCOVER, options={12: b"web"}),
            f"DHCPDISCOVER: {MAC} (web) asks the LAN for an address",
        ),
        (
            message(MessageType.DHCPREQUEST, options={50: ADDRESS.packed, 54: SERVER.packed}),
            f"DHCPREQUEST: {MAC} takes {ADDRESS}, as {SERVER} offered",
        ),
        (message(MessageType.DHCPREQUEST, ciaddr=ADDRESS), f"DHCPREQUEST: {MAC} asks to keep {ADDRESS}"),
        (
            message(MessageType.DHCPREQUEST, options={50: ADDRESS.packed}),
            f"DHCPREQUEST: {MAC} asks whether {ADDRESS} is still its own",
        ),
        (
            message(MessageType.DHCPRELEASE, ciaddr=ADDRESS, options={54: SERVER.packed}),
            f"DHCPRELEASE: {MAC} gives {ADDRESS} back to {SERVER}",
        ),
        (arp_probe(MAC, ADDRESS), f"ARP: is anybody {ADDRESS}? asks {MAC}, who would like to be"),
        (arp_announce(MAC, ADDRESS), f"ARP: {ADDRESS} is at {MAC} from now on"),
        (arp_request(MAC, ADDRESS, SERVER), f"ARP: who is {SERVER}? asks {ADDRESS} ({MAC})"),
        (arp_reply(MAC, ADDRESS, MAC, SERVER), f"ARP: {ADDRESS} is at {MAC}"),
        (b"\0" * 60, ""),
        (message(MessageType.DHCPACK)[:200], ""),
    ],
)  # fmt: skip
def test_a_packet_in_words(frame: bytes, words: str) -> None:
    assert packets.words(frame) == words


def test_a_capture_is_read_as_it_was_written() -> None:
    frames = [
        Frame("master:eth0", 1_700_000_000_123_456_789, b"x" * 61, "DHCPDISCOVER: ünd Wörter"),
        Frame("host:eth0", 1_700_000_001_000_000_000, b"y" * 64),
    ]
    file = io.BytesIO()
    writer = Writer(file, [("host:eth0", "the workstation"), ("master:eth0", "NIC")])
    for frame in frames:
        writer.write(frame)
    assert list(read(io.BytesIO(file.getvalue()))) == frames
    with pytest.raises(FormatError):
        list(read(io.BytesIO(file.getvalue()[:-3])))


def test_tcpdumps_stream_may_come_in_pieces_of_any_size() -> None:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    data = head + b"".join(struct.pack("<IIII", 9, at, 3, 3) + b"abc" for at in range(5))
    stream = PcapStream()
    frames = [frame for at in range(0, len(data), 7) for frame in stream.feed(data[at : at + 7])]
    assert frames == [(9_000_000_000 + at * 1000, b"abc") for at in range(5)]
    with pytest.raises(FormatError):
        list(PcapStream().feed(b"\0" * 24))


def test_a_packet_is_told_at_the_first_place_only_and_a_repetition_again() -> None:
    first = First()
    sightings = [("a", 0), ("b", 1000), ("c", 2000), ("a", 3000), ("b", 10**9)]
    assert [first.sighting(Frame(where, at, b"same")) for where, at in sightings] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_what_is_known_again_does_not_grow_with_the_length_of_a_capture() -> None:
    first = First()
    for number in range(3 * REMEMBERED):
        assert first.sighting(Frame("a", number, number.to_bytes(4)))
    assert len(first._seen) == REMEMBERED
    assert not first.sighting(Frame("b", number, number.to_bytes(4))), "the last ones are known"


TCPDUMP = """#!/bin/sh
echo 'tcpdump: listening on eth0' >&2
cat {folder}/one-frame
echo 'tcpdump: pcap_loop: The interface disappeared' >&2
touch {folder}/ended
"""
"""Listens, has one frame, and ends as the real one does when its interface goes."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment whose workstation is this machine; the folder of its captures."""
    provider = FakeProvider()
    provider.create()
    monkeypatch.setattr("envctl.environment.provider_of", lambda _config: provider)
    (tmp_path / "all.pcapng").write_bytes(b"of yesterday")
    return tmp_path


@pytest.fixture
def short_lived(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with a tcpdump that ends by itself."""
    program = environment / "tcpdump"
    program.write_text(TCPDUMP.format(folder=environment))
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    (environment / "one-frame").write_bytes(head + struct.pack("<IIII", 9, 0, len(ARP), len(ARP)) + ARP)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{environment}:{os.environ['PATH']}")
    return environment / "all.pcapng"


def capture(file: Path, *words: str) -> int:
    return main(["capture", "--where", "host", "--write", str(file), *words])


def test_a_capture_that_cannot_listen_leaves_the_file_as_it_is(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = environment / "all.pcapng"
    assert capture(file, "--filter", "no such words") == 1
    assert "tcpdump ended at once" in capsys.readouterr().err
    assert file.read_bytes() == b"of yesterday"


def test_a_file_that_cannot_be_written_is_named(
    short_lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture(short_lived.parent / "absent" / "all.pcapng") == 2
    assert "absent/all.pcapng cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_a_capture_whose_last_tcpdump_has_ended_says_which_and_why_and_fails(
    form: str, short_lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capture(short_lived, "-o", form) == 1
    said = capsys.readouterr()
    assert "host:eth0: tcpdump has ended: tcpdump: pcap_loop: The interface disappeared" in said.err
    assert "no tcpdump is left" in said.err and "1 frames in" in said.err
    assert "172.16.91.131" in said.out
    if form != "table":
        (told,) = [json.loads(said.out)] if form == "json" else YAML(typ="safe").load(said.out)
        assert told["where"] == "host:eth0"
    with short_lived.open("rb") as file:
        assert [frame.data for frame in read(file)] == [ARP]


def test_the_command_of_a_capture_runs_to_its_end_whatever_becomes_of_tcpdump(
    short_lived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = short_lived.with_name("ended")
    assert capture(short_lived, "--", "sh", "-c", f"until [ -e {ended} ]; do :; done; echo it has ended") == 0
    said = capsys.readouterr().err
    assert "host:eth0: tcpdump has ended" in said and "it has ended" in said


def test_a_command_that_cannot_be_run_is_named(short_lived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert capture(short_lived, "--", "no-such-command") == 2
    assert "no-such-command cannot be run" in capsys.readouterr().err


def test_exchanges_are_told_apart_by_transaction_and_each_message_counts_once() -> None:
    offer = message(MessageType.DHCPOFFER, op=2, yiaddr=ADDRESS, options={54: SERVER.packed})
    frames = [
        Frame("master:mybr0", 5_000_000, message(MessageType.DHCPDISCOVER, options={12: b"web"})),
        Frame("worker1:mybr0", 5_000_100, message(MessageType.DHCPDISCOVER, options={12: b"web"})),
        Frame("master:mybr0", 7_000_000, offer),
    ]
    (exchange,) = exchanges(frames, {})
    assert exchange.title == f"web is offered {ADDRESS}"
    assert [(said.kind, said.from_server, said.after_ms) for said in exchange.messages] == [
        ("DHCPDISCOVER", False, 0.0),
        ("DHCPOFFER", True, 2.0),
    ]
    assert exchange.messages[1].words == f"{SERVER} offers {ADDRESS} to web"
    assert sequence(exchange).count("<polygon") == 2
