"""A keeper's timers on a real loop, and a clock that goes on while the machine sleeps."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from brdhcp.agent import keeper
from brdhcp.dhcp import events as dhcp
from brdhcp.dhcp.machine import Client
from brdhcp.errors import InvalidNamespace

from tests.unit.dhcp.scripted import IDENTITY, MAC, ScriptedServer, bound


class Nowhere:
    """A port whose namespace is gone."""

    mac = MAC
    heard_as = MAC

    def enter(self) -> tuple[int, str]:
        raise InvalidNamespace("it is gone")


class Told:
    """What became of the lease."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def lease_event(self, effect: dhcp.Effect) -> None:
        if isinstance(effect, dhcp.Lost):
            self.lost.set()


def test_a_lease_that_ends_while_the_machine_sleeps_is_noticed_soon_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop's clock stands still meanwhile: a timer of days would go on as if nothing had been."""
    lease = bound(ScriptedServer(lease_s=86_400)).client.lease
    assert lease is not None
    now = [100.0]
    monkeypatch.setattr(keeper, "clock", lambda: now[0])
    monkeypatch.setattr(keeper, "LONGEST_WAIT_S", 0.01)

    async def night() -> None:
        with ThreadPoolExecutor(1) as closer:
            told = Told()
            kept = keeper.Keeper(Client.resumed(IDENTITY, lease, now[0], 7), Nowhere(), told, closer)
            kept.resume()
            now[0] += 2 * 86_400
            async with asyncio.timeout(10):
                await told.lost.wait()
            kept.close()

    asyncio.run(night())
