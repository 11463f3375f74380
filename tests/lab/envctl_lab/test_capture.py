"""A capture on real interfaces, one of which goes away meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from envctl.capture import Place, Recorder
from envctl.node import NamespaceNode
from tests.lab.lan import Machine

WITHIN_S = 20.0
EXPERIMENT = "ether proto 0x88b5"
SEND = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
    sock.bind(("stays", 0))
    sock.send(bytes(12) + bytes.fromhex("88b5") + bytes(46))
"""


@pytest.fixture
def node() -> Iterator[NamespaceNode]:
    """A machine with two interfaces, ``stays`` and ``goes``."""
    machine = Machine("m")
    try:
        machine.ip(
            "link add stays up type veth peer name end", "link set end up", "link add goes up type bridge"
        )
        yield NamespaceNode("m", "", machine.pid)
    finally:
        machine.close()


def test_an_interface_that_goes_ends_its_tcpdump_with_a_word_and_the_others_are_read_on(
    node: NamespaceNode,
) -> None:
    lost: list[tuple[str, str]] = []

    def ended(place: Place, said: str) -> None:
        lost.append((place.name, said))

    with Recorder([Place(node, "stays"), Place(node, "goes")], EXPERIMENT, ended) as recorder:
        node.run("ip link delete goes")
        deadline = time.monotonic() + WITHIN_S
        while not lost and time.monotonic() < deadline:
            assert list(recorder.frames(time.monotonic() + 0.1)) == []
        ((place, said),) = lost
        assert place == "m:goes" and "tcpdump" in said
        assert recorder.listening
        node.run("python3 -c %s", SEND)
        frame = next(recorder.frames(time.monotonic() + WITHIN_S))
        assert frame.where == "m:stays"
        node.run("ip link delete stays")
        assert list(recorder.frames(time.monotonic() + WITHIN_S)) == []
        assert not recorder.listening
    assert [place for place, _ in lost] == ["m:goes", "m:stays"]
