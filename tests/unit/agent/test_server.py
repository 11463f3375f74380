"""The unix socket under a real limit of descriptors."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brdhcp.agent import server, wire
from brdhcp.events import Events


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """This process can open nothing while it lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ballast: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        try:
            while True:
                ballast.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            yield
    finally:
        for fd in ballast:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def answered(envelope: wire.Envelope) -> tuple[int, bytes]:
    return 0, b"done"


def test_a_request_that_comes_while_no_descriptor_is_left_waits_for_one(tmp_path: Path) -> None:
    out = io.StringIO()

    async def conversation() -> bytes:
        listener = server.listen(tmp_path / "agent.sock")
        serving = server.Server(
            listener, answered, Events(form="text", out=out), allowed_uids=frozenset({os.getuid()})
        )
        with listener, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.setblocking(False)
            task = asyncio.create_task(serving.serve())
            loop = asyncio.get_running_loop()
            with no_descriptor_left():
                await loop.sock_connect(client, str(tmp_path / "agent.sock"))
                await loop.sock_sendall(client, wire.encode_request({"CNI_COMMAND": "STATUS"}, b""))
                async with asyncio.timeout(10):
                    while "no request can be taken" not in out.getvalue() and not task.done():
                        await asyncio.sleep(0)
                assert not task.done(), "the agent goes on"
            async with asyncio.timeout(10):
                answer = await loop.sock_recv(client, 100)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await serving.drain(5)
            return answer

    assert asyncio.run(conversation()) == b"0\ndone"
    assert out.getvalue().count("no request can be taken") == 1
