"""A lab comes, converges, crashes in parts, and goes without a trace, whatever happened to the one who made
it.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envctl.config import Config
from envctl.node import NamespaceNode
from envctl.providers import lab_build, lab_machines
from envctl.providers.base import ProviderError
from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import (
    ROOT,
    a_lab,
    fetch,
    fresh_name,
    machine_state,
    removed_at_the_end,
    traces,
)
from tests.lab.lan import until

CREATE = "import sys; from envctl.config import Config; from envctl.providers.lab import Lab; Lab(Config(name=sys.argv[1])).create()"  # noqa: E501
MACHINES = ("switch", "router", "host", "internet", "master", "worker1")


def works(lab: Lab) -> None:
    """The network of the documentation, end to end."""
    for node in (*lab.nodes(), lab.host()):
        node.run("ping -c 1 -W 2 %s", "203.0.113.10")
    assert fetch(lab.host(), "http://internet.lab.test/")[0] == 200
    lab.host().put("/run/ca.pem", lab.apiserver().pem.encode())
    assert fetch(lab.host(), "https://172.16.91.10:8443/healthz", "/run/ca.pem")[:2] == (
        200,
        "apiserver-standin",
    )
    assert ":67 " in lab.router().run("ss -Hlun").stdout


def pids(lab: Lab) -> dict[str, int]:
    return lab_machines.machines(lab.env)


def servers(lab: Lab) -> list[int]:
    return [pid for pid, argv in lab_machines.inside(lab.router().pid) if argv[0] == "dnsmasq"]


def test_making_and_removing_a_lab_leaves_this_machine_as_it_was() -> None:
    before = machine_state()
    with a_lab() as lab:
        assert machine_state() == before
        assert len(traces(lab.env)) > len(MACHINES)
        lab.destroy()
        assert traces(lab.env) == []
        assert machine_state() == before
        assert not lab.exists()


def test_removing_what_is_not_there_succeeds() -> None:
    lab = Lab(Config(name=fresh_name()))
    lab.destroy()
    assert traces(lab.env) == []


def test_looking_at_a_lab_that_is_not_there_makes_nothing() -> None:
    lab = Lab(Config(name=fresh_name()))
    assert not lab.exists()
    assert lab.nodes() == ()
    assert lab.pod_list() == ()
    assert lab.server_leases() == ()
    assert traces(lab.env) == []


def test_making_a_lab_twice_changes_nothing() -> None:
    with a_lab() as lab:
        machines, server = pids(lab), servers(lab)
        lab.create()
        assert pids(lab) == machines
        assert servers(lab) == server
        works(lab)


def test_labs_live_side_by_side_on_the_same_subnet() -> None:
    with a_lab() as one, a_lab() as other:
        one.node("master").run("ping -c 1 -W 2 %s", "172.16.91.1")
        one.destroy()
        assert traces(one.env) == []
        works(other)


def test_a_lab_is_removed_by_its_name_alone() -> None:
    with a_lab(nodes={"workers": 3}) as lab:
        Lab(Config(name=lab.env, nodes={"workers": 0})).destroy()  # type: ignore[arg-type]
        assert traces(lab.env) == []


def test_a_lab_grows_and_shrinks_with_its_configuration() -> None:
    with a_lab(nodes={"workers": 2}) as lab:
        before = pids(lab)
        smaller = Lab(Config.model_validate({"name": lab.env, "nodes": {"workers": 0}}))
        smaller.create()
        assert [node.name for node in smaller.nodes()] == ["master"]
        assert pids(lab) == {name: pid for name, pid in before.items() if not name.startswith("worker")}
        assert not lab_machines.directory(lab.env, "worker1").exists()
        lab.create()
        assert [node.name for node in lab.nodes()] == ["master", "worker1", "worker2"]
        works(lab)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_machine_that_died_is_made_again(machine: str) -> None:
    with a_lab() as lab:
        before = pids(lab)
        lab_machines.kill([before[machine]])
        lab.create()
        after = pids(lab)
        assert after.keys() == before.keys()
        assert after[machine] != before[machine]
        works(lab)
        if machine != "switch":
            assert {name for name in before if before[name] != after[name]} == {machine}


def test_a_dead_dhcp_server_is_started_again_with_its_books() -> None:
    with a_lab(uplink={"address": "dhcp"}, nodes={"workers": 0}) as lab:
        books = lab.server_leases()
        assert len(books) == 1
        lab_machines.kill(servers(lab))
        lab.create()
        assert len(servers(lab)) == 1
        assert lab.server_leases() == books
        lab_machines.kill([pids(lab)["router"]])
        lab.create()
        assert lab.server_leases() == books


def test_another_lease_time_reaches_the_running_server() -> None:
    with a_lab(nodes={"workers": 0}) as lab:
        before = servers(lab)
        short = {"name": lab.env, "nodes": {"workers": 0}, "network": {"dhcp": {"lease_s": 120}}}
        Lab(Config.model_validate(short)).create()
        assert servers(lab) != before
        assert "255.255.255.0,120" in str(lab_machines.inside(lab.router().pid))


def test_a_node_that_has_its_address_on_a_bridge_is_left_alone() -> None:
    with a_lab(nodes={"workers": 0}) as lab:
        master = lab.node("master")
        master.run(
            "ip link add br0 type bridge && ip link set br0 up && ip link set eth0 master br0 && "
            "ip addr flush dev eth0 && ip addr add 172.16.91.10/24 dev br0 && ip route add default via 172.16.91.2"
        )
        before = master.run("ip addr; ip route").stdout
        lab.create()
        assert master.run("ip addr; ip route").stdout == before


def test_a_reboot_keeps_the_disk_and_nothing_else() -> None:
    with a_lab() as lab:
        master = lab.machine("master")
        master.put("/var/lib/brdhcp/kept", b"promised")
        master.put("/run/lost", b"")
        master.run("ip link add gone type bridge")
        boot_id = master.get("/proc/sys/kernel/random/boot_id")
        worker = lab.machine("worker1").pid
        fresh = lab.reboot(master)
        assert fresh.pid != master.pid
        assert fresh.get("/var/lib/brdhcp/kept") == b"promised"
        assert "lost" not in fresh.names("/run")
        assert lab_build.links(fresh) == ["eth0", "lo"]
        assert fresh.run("cat /proc/sys/kernel/random/boot_id").stdout.encode() != boot_id
        assert lab.machine("worker1").pid == worker
        works(lab)


MOMENTS: dict[str, Callable[[str], object]] = {
    "its folder is there": lambda name: lab_machines.directory(name).exists(),
    "machines are being made": lab_machines.beginners,
    "a machine is up": lab_machines.machines,
    "every machine is up": lambda name: len(lab_machines.machines(name)) == len(MACHINES),
    "a cable is plugged in": lambda name: _port_there(name),
    "a server runs": lambda name: any(
        lab_machines.inside(pid)
        for machine, pid in lab_machines.machines(name).items()
        if machine == "router"
    ),
}


def _port_there(name: str) -> bool:
    switch = lab_machines.machines(name).get("switch")
    return switch is not None and "to-host" in lab_build.links(NamespaceNode("switch", "", switch))


def killed_when(name: str, moment: str) -> None:
    """Start making a lab in another process and kill that process at the moment."""
    process = subprocess.Popen([sys.executable, "-c", CREATE, name], cwd=ROOT)
    until(lambda: MOMENTS[moment](name) or process.poll() is not None, within=20, what=moment)
    process.kill()
    process.wait()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_lab_whose_maker_was_killed_is_removed_without_a_trace(moment: str) -> None:
    name = fresh_name()
    with removed_at_the_end(name):
        killed_when(name, moment)
        Lab(Config(name=name)).destroy()
        until(lambda: traces(name) == [], what="no trace")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_lab_whose_maker_was_killed_is_completed_by_the_next(moment: str) -> None:
    name = fresh_name()
    with removed_at_the_end(name):
        killed_when(name, moment)
        lab = Lab(Config(name=name))
        lab.create()
        works(lab)
        assert len(servers(lab)) == 1


def test_two_commands_do_not_work_on_one_lab_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_lab(nodes={"workers": 0}) as lab:
        monkeypatch.setattr(lab_machines, "LOCK_WAIT_S", 0.1)
        folder = os.open(lab_machines.directory(lab.env), os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            for verb in (lab.create, lab.destroy):
                with pytest.raises(ProviderError, match="another envctl is working on"):
                    verb()
        finally:
            os.close(folder)
        works(lab)


def test_machines_keep_no_namespace_of_this_machine_alive() -> None:
    name = f"{fresh_name()}-guest"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with a_lab(nodes={"workers": 0}) as lab:
            mounts = Path(f"/proc/{lab.host().pid}/mountinfo").read_text()
            assert name not in mounts
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
