"""Coverage-guided fuzzing of everything that reads bytes from the LAN.

    python -m tests.fuzz.fuzz_message [-runs=200000] [-max_total_time=60] tests/fuzz/corpus/message

needs atheris; importing this file does not, so that the unit ring runs the committed corpus through the same target.
"""

from __future__ import annotations

import importlib
import sys

from brdhcp.dhcp import frame
from brdhcp.dhcp.lease import Lease, Unusable
from brdhcp.dhcp.message import Malformed, Message
from brdhcp.dhcp.options import OPTIONS, decode_option, encode_option


def read_datagram(data: bytes) -> None:
    """A payload: every exception but ``Malformed`` and ``Unusable`` is a fault; what was read can be written again."""
    try:
        message = Message.decode(data)
    except Malformed:
        return
    str(message)
    for code in message.options:
        message.option(code)
    assert Message.decode(message.encode()).options.keys() >= message.options.keys()
    try:
        lease = Lease.from_message(message, acquired_at=0.0, keep=OPTIONS)
    except Unusable:
        return
    assert Lease.from_json(lease.to_json(1.0, 2.0), 1.0, 2.0) == lease


def read_option(code: int, raw: bytes) -> None:
    """One option's value: if it means something, it means the same after being written and read again."""
    try:
        value = decode_option(code, raw)
    except Malformed:
        return
    assert decode_option(code, encode_option(code, value)) == value


def one_input(data: bytes) -> None:
    """The target. The first octet chooses the reader, so that one corpus serves them all."""
    kind, rest = data[:1], data[1:]
    if kind == b"F":
        frame.parse_frame(rest)
        frame.parse_frame(rest, checksum_ready=False)
        frame.parse_arp(rest)
    elif kind == b"O":
        read_option(rest[0] if rest else 0, rest[1:])
    else:
        read_datagram(rest)


if __name__ == "__main__":
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
