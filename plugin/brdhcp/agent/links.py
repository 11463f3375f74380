"""Deleting links without waiting for the kernel to forget them.

A link that is deleted is out of everybody's sight within a millisecond, and the kernel says so to whoever listens; the
request itself returns a grace period later, some 15 ms, when the memory is free again. Who deletes a link here waits
for the first. Links that come while every thread is inside such a request make up the next one.

A link is known by its index, which no other one is given before the numbers run out: its name may be the next pod's by
the time that the kernel answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from brdhcp.netlink.monitor import DeletedLinks

DELETERS = 3
"""Threads that may wait for a grace period at the same time."""


class Links:
    """``find`` answers the index of a link, None when there is none of that name. ``delete`` removes links as one,
    given by index and name; it blocks, and must not share what it blocks.
    """

    def __init__(
        self, find: Callable[[str], Awaitable[int | None]], delete: Callable[[Mapping[int, str]], None]
    ) -> None:
        self._find = find
        self._delete = delete
        self._going: dict[int, asyncio.Future[None]] = {}
        self._waiting: dict[int, str] = {}
        self._running = 0
        self._gone: DeletedLinks | None = None
        self._threads = ThreadPoolExecutor(DELETERS, "links")
        everybody = Barrier(DELETERS)
        for _ in range(DELETERS):
            self._threads.submit(everybody.wait)

    async def delete(self, name: str) -> None:
        """Remove one link; one that is gone already counts as removed. Raises what the kernel said."""
        index = await self._find(name)
        if index is None:
            return
        if index not in self._going:
            self._going[index] = asyncio.get_running_loop().create_future()
            self._waiting[index] = name
            self._start()
        await asyncio.shield(self._going[index])

    def close(self) -> None:
        """Wait for the threads: deletions that are under way are carried through."""
        self._threads.shutdown()
        self._stop_listening()

    def _start(self) -> None:
        if not self._waiting or self._running == DELETERS:
            return
        loop = asyncio.get_running_loop()
        if self._gone is None:
            self._gone = DeletedLinks()
            loop.add_reader(self._gone, self._heard)
        batch, self._waiting = self._waiting, {}
        self._running += 1
        request = loop.run_in_executor(self._threads, self._delete, batch)
        request.add_done_callback(lambda done: self._returned(batch, done))

    def _heard(self) -> None:
        assert self._gone is not None
        self._settle(self._gone.indices(), None)

    def _returned(self, batch: Iterable[int], request: asyncio.Future[None]) -> None:
        self._running -= 1
        self._settle(batch, request.exception())
        self._start()
        if not self._running:
            self._stop_listening()

    def _settle(self, indices: Iterable[int], error: BaseException | None) -> None:
        for index in indices:
            self._waiting.pop(index, None)
            future = self._going.pop(index, None)
            if future is None:
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # somebody may have stopped waiting

    def _stop_listening(self) -> None:
        if self._gone is not None:
            asyncio.get_running_loop().remove_reader(self._gone)
            self._gone.close()
            self._gone = None
