"""The protocol between shim and agent, over a real socket pair."""

from __future__ import annotations

import array
import asyncio
import os
import socket
from pathlib import Path

import pytest
from brdhcp.agent import wire
from brdhcp.errors import Undecodable
from hypothesis import given
from hypothesis import strategies as st

ENVIRONMENT = {
    "CNI_COMMAND": "ADD",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "K8S_POD_NAME=web;MAC=02:00:00:00:00:01",
}


def receive(*chunks: bytes, descriptors: tuple[int, ...] = ()) -> wire.Envelope:
    """What the agent makes of these bytes when they arrive one by one and the sender then stops."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        for chunk in chunks:
            rights = (
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            )
            theirs.sendmsg([chunk], rights)
            descriptors = ()
        theirs.shutdown(socket.SHUT_WR)
        return asyncio.run(wire.receive(ours))


def test_a_request_comes_out_as_it_went_in() -> None:
    envelope = receive(wire.encode_request(ENVIRONMENT, b'{"name":"n"}'))
    assert (envelope.environment, envelope.stdin) == (ENVIRONMENT, b'{"name":"n"}')
    assert envelope.netns_fd == -1


def test_a_request_that_arrives_byte_by_byte_is_put_together() -> None:
    request = wire.encode_request(ENVIRONMENT, b"\0\0 any bytes \n")
    envelope = receive(*(request[i : i + 1] for i in range(len(request))))
    assert envelope.stdin == b"\0\0 any bytes \n"


def test_the_descriptor_of_the_namespace_arrives_and_is_closed_with_the_envelope() -> None:
    with Path("/proc/self/ns/net").open() as namespace:
        envelope = receive(wire.encode_request(ENVIRONMENT, b""), descriptors=(namespace.fileno(),))
        assert os.path.sameopenfile(envelope.netns_fd, namespace.fileno())
    received = envelope.netns_fd
    envelope.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(received)


def test_of_several_descriptors_all_but_the_last_are_closed() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Path("/proc/self/ns/net").open() as namespace:
        envelope = receive(wire.encode_request({}, b""), descriptors=(namespace.fileno(),) * 3)
    envelope.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"BRDHCP/1 -5\n",
        b"BRDHCP/1 99999999999\n",
        b"BRDHCP/1 12\nshort",
        b"BRDHCP/1 3\nA=B",
        b"BRDHCP/1 3\nA\0\0",
        b"",
    ],
)
def test_what_is_not_a_request_is_refused_and_keeps_no_descriptor(data: bytes) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Path("/proc/self/ns/net").open() as namespace, pytest.raises(Undecodable):
        receive(data, descriptors=(namespace.fileno(),)) if data else receive()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0="), min_size=1),
                    st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    st.binary(),
)  # fmt: skip
def test_any_variables_and_any_input_survive_the_way(environment: dict[str, str], stdin: bytes) -> None:
    header, _, body = wire.encode_request(environment, stdin).partition(b"\n")
    assert header == b"BRDHCP/1 %d" % len(body)
    assert wire.decode_body(body) == (environment, stdin)
