"""The unit's capabilities are enough, and those that an ADD needs are needed: found by dropping them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.lab.agent.rig import BRDHCPD, NOTE, ROOT, STATE, Rig
from tests.lab.faults.both import end
from tests.lab.lan import until

UNIT = (ROOT / "plugin/systemd/brdhcpd.service").read_text()
GRANTED = re.findall(r"CAP_(\w+)", re.findall(r"^CapabilityBoundingSet=(.*)$", UNIT, re.MULTILINE)[0])


def start(node: Rig, capabilities: list[str]) -> None:
    """The agent as root, but with these capabilities only."""
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities)])
    log = f"/run/agent.{len(node.log)}.log"
    node.log.append(log)
    agent = f"{BRDHCPD} --state-dir {STATE} --log-format json --log-level debug"
    node.agent = node.lan.node.spawn(
        f"sh -c 'exec setpriv --bounding-set {kept} --no-new-privs {agent} 2>{log}'"
    )
    until(lambda: node.events("ready"), what="the agent is ready")


def test_with_the_units_capabilities_everything_works(quiet: Rig) -> None:
    start(quiet, GRANTED)
    guarded = {**NOTE, "dhcpGuard": True, "spoofGuard": True, "ipMasq": True}
    quiet.add("web", guarded)
    quiet.add("gone")
    quiet.ctl("renew")
    until(lambda: len(quiet.events("lease-renewed")) == 2, what="the leases are renewed")
    quiet.lan.node.run("ip netns del gone")
    assert quiet.ctl("gc") == {"released": 1}
    delegated = {**NOTE, "name": "other", "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}
    assert quiet.cni("ADD", "web", delegated, if_name="net1").status == 0
    assert quiet.cni("DEL", "web", delegated, if_name="net1").status == 0
    end(quiet, "web")
    assert quiet.events("bug") == []


@pytest.mark.parametrize("dropped", ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"])
def test_without_one_of_these_an_add_fails_with_a_reason_and_leaves_nothing(quiet: Rig, dropped: str) -> None:
    start(quiet, [name for name in GRANTED if name != dropped])
    quiet.pod("web")
    answer = quiet.cni("ADD", "web", {**NOTE, "acquireTimeout": 1})
    assert answer.status == 1
    assert answer.json["code"] in (5, 8)
    assert quiet.leases() == []
    assert quiet.events("bug") == []


def unmount(node: Rig) -> None:
    """The pod's namespace is no longer where the runtime said, but a process of full capabilities lives in it."""
    node.lan.node.run("sh -c 'nsenter --net=/run/netns/web sleep infinity >/dev/null 2>&1 &'")
    until(lambda: node.lan.node.run("ip netns pids web").stdout.strip(), what="the pod has a process")
    node.lan.node.run("umount /run/netns/web")


def shut_away(node: Rig) -> None:
    """The pod's namespace is in a folder of another user, and no process lives in it."""
    node.lan.node.run("chown 1000 /run/netns")
    node.lan.node.run("chmod 700 /run/netns")


@pytest.mark.parametrize(("dropped", "away"), [("SYS_PTRACE", unmount), ("DAC_READ_SEARCH", shut_away)])
def test_without_one_of_these_a_living_pod_would_be_taken_for_dead(
    quiet: Rig, dropped: str, away: Callable[[Rig], None]
) -> None:
    start(quiet, GRANTED)
    quiet.add("web")
    away(quiet)
    assert quiet.ctl("gc") == {}, "all capabilities together find it"
    assert len(quiet.leases()) == 1
    quiet.stop()
    start(quiet, [name for name in GRANTED if name != dropped])
    assert quiet.leases() == [], "the first look of the next agent gave its lease back"
    assert quiet.events("bug") == []


def test_every_capability_of_the_unit_is_in_one_of_these_tests() -> None:
    assert set(GRANTED) == {"NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"}
