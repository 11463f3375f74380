"""An hour of a node's worth of pods that come, go and crash at once. What time it is, the test says.

The agent and the server have a clock that runs as always and jumps when the test wants: between two rounds minutes
pass, so that leases are renewed, and, while the server is away, expire. Within a round time is what it is, and no call
is ever too slow for it. Who does what is drawn from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.agent.rig import Rig, rig
from tests.lab.faults.both import agree, pods
from tests.lab.faults.test_network import lossy
from tests.lab.faults.test_time import FAKETIME
from tests.lab.lan import until

PODS, LEASE_S = 110, 600
ROUNDS, STEP_S = 20, 180
AWAY = range(7, 11)
"""Rounds in which nothing that the server should hear reaches it: longer than a lease."""
KILLED = 14
"""After this round the agent is killed and started again."""


class Clock:
    """What time it is for the processes that have ``environment``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.passed = 0
        self.forward(0)

    def forward(self, seconds: int) -> None:
        """So much time passes now."""
        self.passed += seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"+{self.passed}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }


class Churn:
    """The node, and what becomes of its pods."""

    def __init__(self, node: Rig, clock: Clock, seed: int) -> None:
        self.node = node
        self.clock = clock
        self.chance = random.Random(seed)
        self.names = [f"c{number}" for number in range(PODS)]
        self.up: set[str] = set()
        self.sandboxes: set[str] = set()
        self.calls = 0

    def round(self, *, server_away: bool = False) -> None:
        """Every pod may come, go or crash, all of them at once; every call succeeds. Then minutes pass."""
        acts = [(self._draw(name, server_away), name) for name in self.names]
        self._do([(act, name) for act, name in acts if act])
        self.clock.forward(STEP_S)

    def everybody(self, act: str) -> None:
        """The same for all that it can be done for, at once."""
        self._do([(act, name) for name in self.names if (name in self.up) != (act == "ADD")])

    def in_vain(self, number: int) -> None:
        """ADDs while the server is away: minutes later they have failed for that reason, and the rest goes on."""
        names = [name for name in self.names if name not in self.up][:number]
        for name in names:
            self._sandbox(name)
        with ThreadPoolExecutor(number) as pool:
            calls = [pool.submit(self.node.cni, "ADD", name) for name in names]
            until(self._all_asking(number), within=30, what="all of them are asking")
            self.clock.forward(STEP_S)
            assert {call.result().json["code"] for call in calls} == {11}

    def _all_asking(self, number: int) -> Callable[[], bool]:
        return lambda: sum(lease["state"] == "intent" for lease in self.node.leases()) == number

    def _draw(self, name: str, server_away: bool) -> str:
        act = self.chance.choices(("", "other", "crash"), (50, 40, 10))[0]
        if name in self.up:
            return {"other": "DEL"}.get(act, act)
        return "ADD" if act and not server_away else ""

    def _do(self, acts: list[tuple[str, str]]) -> None:
        for act, name in acts:
            if act == "ADD":
                self._sandbox(name)
        with ThreadPoolExecutor(PODS) as pool:
            failed = [words for words in pool.map(self._act, acts) if words]
        assert failed == []
        for act, name in acts:
            (self.up.add if act == "ADD" else self.up.discard)(name)
            if act == "crash":
                self.sandboxes.discard(name)
        self.calls += len(acts)

    def _act(self, what: tuple[str, str]) -> str:
        act, name = what
        if act == "crash":
            self.node.lan.node.run(f"ip netns del {name}")
            return ""
        answer = self.node.cni(act, name)
        return answer.stdout if answer.status else ""

    def _sandbox(self, name: str) -> None:
        if name not in self.sandboxes:
            self.node.pod(name)
            self.sandboxes.add(name)


@pytest.fixture
def churn(tmp_path: Path) -> Iterator[Churn]:
    clock = Clock(tmp_path)
    with rig(serve=False) as node:
        told = ("env", *(f"{key}={value}" for key, value in clock.environment.items()))
        node.lan.start_dnsmasq(LEASE_S, before=told)
        node.start(**clock.environment)
        yield Churn(node, clock, seed=2131)


@pytest.mark.timeout(300)
def test_after_an_hour_of_churn_every_address_is_a_living_pods(churn: Churn) -> None:
    node = churn.node
    churn.everybody("ADD")
    for number in range(ROUNDS):
        if number == AWAY.start:
            lossy(node, 1)
            churn.in_vain(4)
        if number == AWAY.stop:
            node.lan.switch.run("nft delete table bridge loss")
        churn.round(server_away=number in AWAY)
        if number == KILLED:
            node.kill()
            node.start(**churn.clock.environment)
    assert churn.clock.passed >= 3600
    node.ctl("gc")
    node.ctl("renew")
    assert sorted(pods(node)) == sorted(churn.up)
    agree(node)
    counts = {
        name: len(node.events(name, all_agents=True)) for name in ("lease-renewed", "lease-lost", "bug")
    }
    assert counts["lease-renewed"] > 2 * PODS
    assert counts["lease-lost"] > 10
    assert counts["bug"] == 0
    churn.everybody("DEL")
    node.nothing_left()
