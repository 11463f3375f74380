"""Deleting links without waiting for the kernel to forget them.

A link that is deleted is out of everybody's sight within a millisecond, and the kernel says so to whoever listens; the
request itself returns a grace period later, some 15 ms, when the memory is free again. Who deletes a link here waits
for the first. Names that arrive while every thread is inside such a request make up the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

from brdhcp.netlink.monitor import DeletedLinks

DELETERS = 3
"""Threads that may wait for a grace period at the same time."""

Futures = dict[str, asyncio.Future[None]]


class Links:
    """``delete`` is the blocking call that removes links by name, as one; it must not share what it blocks."""

    def __init__(self, delete: Callable[[tuple[str, ...]], None]) -> None:
        self._delete = delete
        self._futures: Futures = {}
        self._waiting: Futures = {}
        self._running = 0
        self._gone: DeletedLinks | None = None
        self._threads = ThreadPoolExecutor(DELETERS, "links")
        everybody = Barrier(DELETERS)
        for _ in range(DELETERS):
            self._threads.submit(everybody.wait)

    async def delete(self, name: str) -> None:
        """Remove one link; one that is gone already counts as removed. Raises what the kernel said."""
        if name not in self._futures:
            self._futures[name] = self._waiting[name] = asyncio.get_running_loop().create_future()
            self._start()
        await asyncio.shield(self._futures[name])

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
        request = loop.run_in_executor(self._threads, self._delete, tuple(batch))
        request.add_done_callback(partial(self._returned, batch))

    def _heard(self) -> None:
        assert self._gone is not None
        for name in self._gone.names():
            # Not one that waits for its request yet: that was said of another link of the same name.
            if name in self._futures and name not in self._waiting:
                self._settle(name, self._futures[name], None)

    def _returned(self, batch: Futures, request: asyncio.Future[None]) -> None:
        self._running -= 1
        for name, future in batch.items():
            self._settle(name, future, request.exception())
        self._start()
        if not self._running:
            self._stop_listening()

    def _settle(self, name: str, future: asyncio.Future[None], error: BaseException | None) -> None:
        if self._futures.get(name) is future:
            del self._futures[name]
        if future.done():
            return
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
