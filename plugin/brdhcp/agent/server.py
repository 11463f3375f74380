"""The unix socket: who may ask, one task per request, and an orderly end.

Every request is answered, also the ones that are wrong and the ones that meet a bug of ours: the shim prints what
comes back, and a runtime that gets no JSON reports *unexpected end of JSON input*, which helps nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from brdhcp.agent import wire
from brdhcp.errors import StoreFailure, Undecodable
from brdhcp.events import Events

Handler = Callable[[wire.Envelope], Awaitable[tuple[int, bytes]]]

BACKLOG = 512
TRANSIENT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED)
"""Errors of accept(2) that say nothing about the listening socket."""
PAUSE_S = 0.1
"""How long nothing is accepted after the kernel had no descriptor or memory for a connection; it waits in line."""


def listen(path: Path) -> socket.socket:
    """A listening socket at ``path``, mode 0600. A stale socket file is replaced, a live one is refused.

    Raises ``StoreFailure`` naming the path when another agent answers there or the path cannot be used.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            if _answers(path):
                raise StoreFailure(
                    f"another agent answers at {path}",
                    "stop it first (systemctl stop brdhcpd), or give this one another --socket and --state-dir",
                )
            path.unlink()
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StoreFailure(
            f"cannot listen at {path}: {error.strerror}", "is the directory there and writable?"
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def identity(path: Path) -> tuple[int, int] | None:
    """Tells the socket file at ``path`` from another one that has its name; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


class Server:
    """Serves requests on ``listener`` until told to stop."""

    def __init__(
        self, listener: socket.socket, handler: Handler, events: Events, allowed_uids: frozenset[int]
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._events = events
        self._allowed = allowed_uids
        self._requests: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Accept until cancelled; each connection is a task of its own."""
        self._listener.setblocking(False)
        loop = asyncio.get_running_loop()
        said = 0
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno not in TRANSIENT:
                    raise
                if error.errno != said:  # once, not ten times a second
                    self._events("requests-wait", f"no request can be taken: {error.strerror}", "error")
                said = error.errno
                await asyncio.sleep(PAUSE_S)
                continue
            said = 0
            task = loop.create_task(self._converse(connection), name="request")
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def drain(self, within: float) -> None:
        """Let requests finish, at most ``within`` seconds; cancel the others (they undo what they did)."""
        if self._requests:
            await asyncio.wait(self._requests, timeout=within)
        for task in self._requests:
            task.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    async def _converse(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            who = wire.peer(connection)
            if who.uid not in self._allowed:
                self._events(
                    "request-refused", f"a request of uid {who.uid} (pid {who.pid}) was refused", "warning"
                )
                return
            envelope: wire.Envelope | None = None
            try:
                envelope = await wire.receive(connection)
                status, stdout = await self._handler(envelope)
            except Undecodable as error:
                self._events("request-undecodable", str(error), "warning", pid=who.pid)
                return
            finally:
                if envelope is not None:
                    envelope.close()
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(connection, wire.answer(status, stdout))
