"""The pcapng file format as far as captures of ours need it: named interfaces, times in nanoseconds, comments.

Source: draft-ietf-opsawg-pcapng. Wireshark shows the names in the column *Interface*, the comments with each
packet. Also the classic pcap stream that tcpdump writes, for reading.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
BYTE_ORDER = 0x1A2B3C4D
ETHERNET = 1
OPT_COMMENT, IF_NAME, IF_DESCRIPTION, IF_TSRESOL, APPLICATION = 1, 2, 3, 9, 4
NANOSECONDS = bytes([9])
PCAP_HEADER, PCAP_RECORD = 24, 16
PCAP_MICROSECONDS = 0xA1B2C3D4


class FormatError(ValueError):
    """Not a file that this module writes, or tcpdump."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: where it was seen (``master:eth0``), when (nanoseconds since 1970), its bytes, and a comment."""

    where: str
    time_ns: int
    data: bytes
    comment: str = ""


class Writer:
    """Writes one section; interfaces first, then frames in any order."""

    def __init__(self, file: BinaryIO, interfaces: Sequence[tuple[str, str]]) -> None:
        """``interfaces`` are (name, description)."""
        self._file = file
        self._numbers = {name: number for number, (name, _) in enumerate(interfaces)}
        _write(
            file,
            SECTION,
            struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + _options([(APPLICATION, b"envctl capture")]),
        )
        for name, description in interfaces:
            options = [
                (IF_NAME, name.encode()),
                (IF_DESCRIPTION, description.encode()),
                (IF_TSRESOL, NANOSECONDS),
            ]
            _write(file, INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0) + _options(options))

    def write(self, frame: Frame) -> None:
        """Append a frame."""
        high, low = divmod(frame.time_ns, 1 << 32)
        size = len(frame.data)
        head = struct.pack("<IIIII", self._numbers[frame.where], high, low, size, size)
        comment = [(OPT_COMMENT, frame.comment.encode())] if frame.comment else []
        _write(self._file, PACKET, head + _padded(frame.data) + _options(comment))
        self._file.flush()


def _write(file: BinaryIO, kind: int, body: bytes) -> None:
    length = struct.pack("<I", len(body) + 12)
    file.write(struct.pack("<I", kind) + length + body + length)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _options(pairs: Sequence[tuple[int, bytes]]) -> bytes:
    if not pairs:
        return b""
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in pairs) + bytes(4)


def read(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a file that :class:`Writer` wrote. Raises FormatError."""
    names: list[str] = []
    while head := file.read(8):
        kind, length = struct.unpack("<II", _whole(head, 8))
        body = _whole(file.read(length - 8), length - 8)[:-4]
        if kind == SECTION and struct.unpack_from("<I", body)[0] != BYTE_ORDER:
            raise FormatError("written on a machine with another byte order")
        if kind == INTERFACE:
            names.append(_option(body[8:], IF_NAME).decode())
        elif kind == PACKET:
            number, high, low, size, _ = struct.unpack_from("<IIIII", body)
            end = 20 + size + -size % 4
            yield Frame(
                names[number],
                high << 32 | low,
                body[20 : 20 + size],
                _option(body[end:], OPT_COMMENT).decode(),
            )


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise FormatError("the file ends in the middle of a block")
    return data


def _option(data: bytes, wanted: int) -> bytes:
    at = 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == wanted:
            return data[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4
    return b""


class PcapStream:
    """Classic pcap as ``tcpdump -w -`` writes it, in pieces of any size: feed bytes, get (time_ns, frame)."""

    def __init__(self) -> None:
        self._buffer = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are whole now. Raises FormatError."""
        self._buffer += data
        if not self._begun and len(self._buffer) >= PCAP_HEADER:
            if struct.unpack_from("<I", self._buffer)[0] != PCAP_MICROSECONDS:
                raise FormatError(
                    "tcpdump wrote another format than microsecond pcap in this machine's byte order"
                )
            self._buffer, self._begun = self._buffer[PCAP_HEADER:], True
        while self._begun and len(self._buffer) >= PCAP_RECORD:
            seconds, micros, size, _ = struct.unpack_from("<IIII", self._buffer)
            if len(self._buffer) < PCAP_RECORD + size:
                return
            frame = self._buffer[PCAP_RECORD : PCAP_RECORD + size]
            self._buffer = self._buffer[PCAP_RECORD + size :]
            yield seconds * 1_000_000_000 + micros * 1000, frame
