"""What every part of the agent works with: the store, the kernel of the node, the worker threads, the attachments."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from brdhcp.agent import ports
from brdhcp.agent.attached import Attached
from brdhcp.agent.links import Links
from brdhcp.agent.packets import Outlet
from brdhcp.agent.warm import Warm
from brdhcp.events import Events
from brdhcp.netlink import netns
from brdhcp.netlink.kernel import Kernel
from brdhcp.store.leases import Attachment, Key, Store
from brdhcp.store.spool import Spool

P = ParamSpec("P")
T = TypeVar("T")

WORKERS = 4
"""Threads that wait for the kernel and the disk, whatever the number of leases."""


@dataclass(slots=True)
class Core:
    """The agent's possessions. ``attached`` holds every attachment that is bound."""

    state_dir: Path
    store: Store
    spool: Spool
    events: Events
    node: Kernel
    attached: dict[Key, Attached] = field(default_factory=dict)
    workers: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(WORKERS, "worker", initializer=netns.may_enter)
    )
    closer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "closer"))
    outlet: Outlet = field(default_factory=Outlet)
    links: Links = field(init=False)
    warm: Warm = field(init=False)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # All threads there will ever be, from the beginning: their number says nothing about the number of leases.
        everybody = threading.Barrier(WORKERS)
        for _ in range(WORKERS):
            self.workers.submit(everybody.wait)
        self.closer.submit(int)
        netns.start()
        self.warm = Warm(self)
        self.links = Links(lambda name: self.in_thread(self.node.index, name), ports.unplug)

    async def in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``call`` in a worker thread: for what waits for the kernel or the disk.

        A thread cannot be stopped. Who is cancelled waits until it is done with ``call``, so that nothing is undone,
        and no descriptor closed, that it still works on.
        """
        job = self.workers.submit(call, *args, **kwargs)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not job.cancel():
                await asyncio.wait([done])
            raise

    async def save(self, record: Attachment) -> None:
        """On disk when this returns. Raises ``StoreFailure``."""
        await self.in_thread(self.store.save, record)

    async def forget(self, key: Key) -> None:
        """Gone from memory and disk when this returns."""
        attached = self.attached.pop(key, None)
        if attached is not None:
            attached.close()
        await self.in_thread(self.store.delete, key)

    def background(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that nobody awaits; a bug in it becomes an event."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.events("bug", f"{task.get_name()}: {type(error).__name__}: {error}", "error")

    def alone(self, container_id: str, if_name: str) -> _Alone:
        """``async with``: one verb at a time for an interface of a container."""
        return _Alone(self._locks, (container_id, if_name))

    async def close(self) -> None:
        """Stop keeping leases; all of them stay on disk and at the server."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for attached in self.attached.values():
            attached.close()
        self.links.close()
        self.workers.shutdown()
        self.closer.shutdown()
        self.outlet.close()
        self.node.close()
        self.store.close()


class _Alone:
    """A lock per name that exists while somebody holds it or waits for it."""

    def __init__(self, locks: dict[tuple[str, str], tuple[asyncio.Lock, int]], name: tuple[str, str]) -> None:
        self._locks = locks
        self._name = name

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._name) or (asyncio.Lock(), 0)
        self._locks[self._name] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._name][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, users = self._locks[self._name]
        if users == 1:
            del self._locks[self._name]
        else:
            self._locks[self._name] = (lock, users - 1)
