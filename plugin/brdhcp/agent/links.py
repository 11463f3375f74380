"""Deleting links: the kernel waits some 20 ms per deletion, so those that arrive together go together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Delete = Callable[[tuple[str, ...]], Awaitable[None]]


class Links:
    """``delete`` returns when the link is gone. Names that come in while a deletion runs make up the next one."""

    def __init__(self, delete: Delete) -> None:
        self._delete = delete
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._running: asyncio.Task[None] | None = None

    async def delete(self, name: str) -> None:
        """Remove one link; one that is gone already counts as removed. Raises what the kernel said."""
        future = self._waiting.setdefault(name, asyncio.get_running_loop().create_future())
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._work(), name="delete links")
        await asyncio.shield(future)

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            try:
                await self._delete(tuple(batch))
            except Exception as error:
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # somebody may have stopped waiting
            else:
                for future in batch.values():
                    future.set_result(None)
