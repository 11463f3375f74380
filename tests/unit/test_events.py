"""Events in their three forms."""

from __future__ import annotations

import io
import json
import socket
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from brdhcp import events as module
from brdhcp.events import LINES, WINDOW_S, Event, Events, as_journal, as_json, as_text

EVENT = Event("lease-lost", "the lease of web/eth0 expired", "warning", datetime(2026, 1, 2, tzinfo=UTC),
              {"attachment": "web/eth0", "lease_s": 120, "server": None})  # fmt: skip


def test_a_line_of_text_says_what_happened_and_leaves_out_what_is_not_known() -> None:
    assert as_text(EVENT).endswith(
        "warning lease-lost: the lease of web/eth0 expired [attachment=web/eth0 lease_s=120]"
    )


def test_a_line_of_json_has_a_key_for_every_fact() -> None:
    assert json.loads(as_json(EVENT)) == {
        "at": "2026-01-02T00:00:00+00:00", "level": "warning", "event": "lease-lost",
        "message": "the lease of web/eth0 expired", "attachment": "web/eth0", "lease_s": 120, "server": None,
    }  # fmt: skip


def test_the_journal_gets_a_field_for_every_fact_and_lines_in_its_binary_form() -> None:
    several_lines = Event("note", "one\ntwo", "info", EVENT.at, {"lease_s": 120})
    data = as_journal(several_lines)
    assert data.startswith(b"MESSAGE\n" + struct.pack("<Q", 7) + b"one\ntwo\n")
    assert b"\nBRDHCP_LEASE_S=120\n" in data
    assert b"\nPRIORITY=6\n" in data


def test_quiet_events_are_counted_and_remembered_but_not_printed() -> None:
    out = io.StringIO()
    events = Events(out=out, least="warning")
    events("lease-renewed", "renewed")
    assert out.getvalue() == ""
    assert events.counts["lease-renewed"] == 1
    assert events.recent[-1].name == "lease-renewed"


def test_what_the_lan_can_repeat_without_end_is_bounded_in_the_log_and_counted_whole() -> None:
    out, clock = io.StringIO(), [0.0]
    events = Events(out=out, least="debug", now=lambda: clock[0])
    for _ in range(1000):
        events("message-ignored", "unusable", "debug")
        events("lease-lost", "gone", "error")
    lines = out.getvalue().splitlines()
    assert sum("message-ignored" in line for line in lines) == LINES
    assert sum("lease-lost" in line for line in lines) == 1000
    assert events.counts["message-ignored"] == 1000
    clock[0] = WINDOW_S
    events("message-ignored", "unusable", "debug")
    told, last = out.getvalue().splitlines()[len(lines) :]
    assert f"events-left-out: {1000 - LINES} more message-ignored were counted" in told
    assert "message-ignored: unusable" in last


def fields_of(datagram: bytes) -> dict[str, str]:
    """A datagram of the journal's native protocol, read by its own rules (systemd.journal-fields(7))."""
    found = {}
    while datagram:
        key, end, rest = datagram.partition(b"\n")
        if b"=" in key:
            name, _, value = key.partition(b"=")
            datagram = rest
        else:
            (size,) = struct.unpack_from("<Q", rest)
            name, value, datagram = key, rest[8 : 8 + size], rest[8 + size :]
            assert datagram[:1] == b"\n"
            datagram = datagram[1:]
        assert end
        assert name.decode() not in found
        found[name.decode()] = value.decode()
    return found


def test_the_journals_socket_gets_an_event_whose_fields_can_be_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = str(tmp_path / "socket"), io.StringIO()
    monkeypatch.setattr(module, "JOURNAL", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        journal.settimeout(5)
        events = Events(form="journal", out=out)
        events("lease-lost", "web lost 172.16.91.131:\nMESSAGE=nobody renewed it", "error", **EVENT.facts)
        assert fields_of(journal.recv(65536)) == {
            "MESSAGE": "web lost 172.16.91.131:\nMESSAGE=nobody renewed it", "PRIORITY": "3",
            "SYSLOG_IDENTIFIER": "brdhcpd", "BRDHCP_EVENT": "lease-lost", "BRDHCP_ATTACHMENT": "web/eth0",
            "BRDHCP_LEASE_S": "120",
        }  # fmt: skip
    assert out.getvalue() == ""
    Path(path).unlink()
    events("lease-lost", "said to nobody", "error")
    assert "said to nobody" in out.getvalue(), "without a journal it is a line"
    events.close()


def test_a_log_that_cannot_be_written_costs_nobody_a_lease() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, io.TextIOWrapper(full, write_through=True) as out:
        events = Events(out=out)
        events("lease-acquired", "acquired")
    assert events.counts["log-lost"] == 1
