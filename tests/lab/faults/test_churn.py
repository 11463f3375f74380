"""An hour of a node's worth of pods that come, go and crash, many at once. What time it is, the test says.

Time jumps when no call is under way, and by less than would make a lease miss its T2; then the test waits until what
fell due is done. Within a round of calls the clock runs as always, and no call is ever too slow for it. Who does what
is drawn from a seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.agent.rig import NOTE, Rig, rig
from tests.lab.faults.both import agree, pods
from tests.lab.faults.clock import Clock
from tests.lab.faults.test_network import lossy
from tests.lab.lan import until

PODS, LEASE_S = 110, 120
STEP_S = 30
"""T1 is at 60 s and T2 at 105 s: a lease that falls due within a step is asked for in time after it."""
ROUNDS, STEPS = 20, 6
AWAY = range(7, 9)
"""Rounds in which nothing that the server should hear reaches it: longer than a lease."""
KILLED = 14
"""In this round the agent is killed, and a step later started again."""
DEADLINE_S = 110
"""Longer than an agent works on one call."""


class Churn:
    """The node, and what becomes of its pods."""

    def __init__(self, node: Rig, clock: Clock, seed: int) -> None:
        self.node = node
        self.clock = clock
        self.chance = random.Random(seed)
        self.names = [f"c{number}" for number in range(PODS)]
        self.up: dict[str, str] = {}
        """The MACs of those that have an interface."""
        self.sandboxes: set[str] = set()

    def round(self, *, server_away: bool = False) -> None:
        """Every pod may come, go or crash, all of them at once; every call succeeds."""
        acts = [(self._draw(name, server_away), name) for name in self.names]
        self._do([(act, name) for act, name in acts if act])

    def everybody(self, act: str) -> None:
        """The same for all that it can be done for, at once."""
        self._do([(act, name) for name in self.names if (name in self.up) != (act == "ADD")])

    def in_vain(self) -> None:
        """ADDs while the server is away: at the deadline all have failed, wherever they were, and nothing is left."""
        names = [name for name in self.names if name not in self.up]
        for name in names:
            self._sandbox(name)
        with ThreadPoolExecutor(len(names)) as pool:
            calls = [pool.submit(self.node.cni, "ADD", name) for name in names]
            until(lambda: self._asking() == len(names), within=30, what="all of them are asking")
            self.clock.forward(DEADLINE_S)
            assert {call.result().json["code"] for call in calls} == {11}

    def pass_time(self, seconds: int, *, renewing: bool = True) -> None:
        """So much time passes, in steps; with ``renewing``, after each every lease that was due is renewed."""
        for _ in range(0, seconds, STEP_S):
            self.clock.forward(STEP_S)
            self.awake()
            if renewing:
                until(self.renewed, within=60, what="every lease that is due is renewed")

    def awake(self) -> None:
        """The agent has looked at its clock: it does so when it is asked anything."""
        assert self.node.cni("STATUS", conf={**NOTE, "cniVersion": "1.1.0"}).status == 0

    def renewed(self) -> bool:
        """The server has every living pod's lease, and none is past T1."""
        text = self.node.lan.router.run(f"cat {self.node.lan.LEASES}").stdout
        ends = {fields[1]: int(fields[0]) for line in text.splitlines() if len(fields := line.split()) >= 5}
        due = time.time() + self.clock.passed + LEASE_S / 2 - 1
        return all(ends.get(mac, 0) >= due for mac in self.up.values())

    def _asking(self) -> int:
        return sum(lease["state"] == "intent" for lease in self.node.leases())

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

    def _act(self, what: tuple[str, str]) -> str:
        act, name = what
        if act != "ADD":
            self.up.pop(name)
        if act == "crash":
            self.sandboxes.discard(name)
            self.node.lan.node.run(f"ip netns del {name}")
            return ""
        answer = self.node.cni(act, name)
        if answer.status:
            return answer.stdout
        if act == "ADD":
            self.up[name] = answer.json["interfaces"][2]["mac"]
        return ""

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
        away = number in AWAY
        if number == AWAY.start:
            lossy(node, 1)
            churn.in_vain()
        if number == AWAY.stop:
            node.lan.switch.run("nft delete table bridge loss")
            churn.pass_time(90, renewing=False)
            until(churn.renewed, within=60, what="every pod has a lease again")
        churn.round(server_away=away)
        if number == KILLED:
            node.kill()
            churn.clock.forward(STEP_S)
            node.start(**churn.clock.environment)
            churn.clock.forward(5)
            churn.awake()
            until(churn.renewed, within=60, what="what was due meanwhile is renewed")
        churn.pass_time(STEPS * STEP_S, renewing=not away)
    assert churn.clock.passed >= 3600
    node.ctl("gc")
    assert sorted(pods(node)) == sorted(churn.up)
    agree(node)
    counts = {
        name: len(node.events(name, all_agents=True)) for name in ("lease-renewed", "lease-lost", "bug")
    }
    assert counts["lease-renewed"] > 10 * PODS
    assert counts["lease-lost"] > 10
    assert counts["bug"] == 0
    churn.everybody("DEL")
    node.nothing_left()
