"""The node's own lease."""

import asyncio

from brdhcp.agent.core import Core


async def forever(core: Core) -> None:
    await asyncio.get_running_loop().create_future()
