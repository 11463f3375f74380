"""The shim's request and the agent's answer on the unix socket, one request per connection.

Request: one header line ``BRDHCP/1 <length>``, then ``length`` bytes: NUL-separated ``KEY=VALUE`` fields, an empty
field, and standard input as the shim got it. The descriptor of the pod's namespace rides along as SCM_RIGHTS, so that
the agent needs no path to it: a path may mean nothing in the agent's own mount namespace.
Answer: one line with the exit status (``0`` or ``1``), then what the shim is to print, until the end of the stream.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from dataclasses import dataclass

from brdhcp.errors import CniError, Undecodable

MAGIC = b"BRDHCP/1 "
LARGEST_REQUEST = 1 << 20
"""Bytes; a CNI request that is larger is not one."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel says (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int
    gid: int


@dataclass(slots=True)
class Envelope:
    """One request as it arrived. ``netns_fd`` is ours to close and -1 where none came along."""

    environment: dict[str, str]
    stdin: bytes
    netns_fd: int = -1
    asked_at: float | None = None
    """When it was made, by the wall clock, if it had to wait; None: now."""

    def close(self) -> None:
        if self.netns_fd >= 0:
            os.close(self.netns_fd)
            self.netns_fd = -1


def peer(connection: socket.socket) -> Peer:
    """The credentials of the process that connected."""
    size = struct.calcsize("3i")
    return Peer(*struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def encode_request(environment: dict[str, str], stdin: bytes) -> bytes:
    """A request as the shim sends it; used by ``brdhcpctl`` and by the tests."""
    fields = b"".join(f"{key}={value}".encode() + b"\0" for key, value in environment.items())
    body = fields + b"\0" + stdin
    return MAGIC + b"%d\n" % len(body) + body


def decode_body(body: bytes) -> tuple[dict[str, str], bytes]:
    """Split the body into the variables and standard input. Raises ``Undecodable``."""
    environment: dict[str, str] = {}
    start = 0
    while True:
        end = body.find(b"\0", start)
        if end < 0:
            raise Undecodable("the request ends before its variables do", "is the shim of the same release?")
        field = body[start:end]
        start = end + 1
        if not field:
            return environment, body[start:]
        key, equals, value = field.partition(b"=")
        if not equals:
            raise Undecodable(f"the request has the variable {field[:40]!r} without a value")
        environment[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")


def split_header(data: bytes) -> tuple[int, bytes] | None:
    """The body's announced length and what of it is here; ``None`` until the header line is complete."""
    line, newline, rest = data.partition(b"\n")
    if not MAGIC.startswith(line[: len(MAGIC)]) or len(line) > 32:
        raise Undecodable(f"not a request of this protocol: it begins {data[:24]!r}")
    if not newline:
        return None
    length = line[len(MAGIC) :]
    if not length.isdigit() or int(length) > LARGEST_REQUEST:
        raise Undecodable(f"the request announces {length[:24]!r} bytes; at most {LARGEST_REQUEST} are taken")
    return int(length), rest


async def receive(connection: socket.socket) -> Envelope:
    """Read one request from a non-blocking connection. Raises ``Undecodable``; never keeps a descriptor then."""
    envelope = Envelope({}, b"")
    data = b""
    wanted: int | None = None
    try:
        while wanted is None or len(data) < wanted:
            chunk = await _recvmsg(connection, envelope)
            if not chunk:
                raise Undecodable(f"the connection closed after {len(data)} bytes of a request")
            data += chunk
            if wanted is None and (head := split_header(data)) is not None:
                wanted, data = head
        envelope.environment, envelope.stdin = decode_body(data[:wanted])
    except BaseException:
        envelope.close()
        raise
    return envelope


async def _recvmsg(connection: socket.socket, envelope: Envelope) -> bytes:
    while True:
        try:
            data, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await readable(connection)
            continue
        except OSError as error:
            raise Undecodable(f"the connection broke: {error.strerror}") from error
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors = array.array("i")
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
                for descriptor in descriptors:
                    envelope.close()
                    envelope.netns_fd = descriptor
        return data


async def readable(sock: socket.socket) -> None:
    """Return when ``sock`` can be read from."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def answer(status: int, stdout: bytes) -> bytes:
    """The bytes that go back to the shim."""
    return b"%d\n" % status + stdout


def ask(
    path: str, environment: dict[str, str], stdin: bytes = b"", timeout: float = 120.0
) -> tuple[int, bytes]:
    """Send one request to the agent at ``path`` and return exit status and output (for ``brdhcpctl``; blocks).

    Raises OSError when nobody listens there, ``CniError`` when the answer is not one.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(encode_request(environment, stdin))
        parts = bytearray()
        while chunk := connection.recv(65536):
            parts += chunk
    status, newline, body = bytes(parts).partition(b"\n")
    if not newline or status not in (b"0", b"1"):
        raise CniError("the agent closed the connection without an answer", "see the log of brdhcpd")
    return int(status), body
