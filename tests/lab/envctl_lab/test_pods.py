"""Pods on a lab node, put on a network by the reference plugins as a container runtime would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from envctl import cni
from envctl.node import NodeError
from envctl.providers import lab_machines, lab_plugin, pods
from envctl.providers.base import ProviderError
from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import a_lab, fetch
from tests.lab.lan import until

BRIDGE: dict[str, Any] = {
    "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.9.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]},
}  # fmt: skip
NET_DIR = "/etc/cni/net.d"


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    with a_lab(nodes={"workers": 1}) as lab:
        for node in lab.nodes():
            lab_plugin.install_files(lab.machine(node.name))
        yield lab


@pytest.fixture
def lab(made: Lab) -> Iterator[Lab]:
    yield made
    for pod in made.pod_list():
        made.pod_rm(pod.name)
    for node in made.nodes():
        for name in node.names(NET_DIR):
            node.remove(f"{NET_DIR}/{name}")


def configure(lab: Lab, *plugins: dict[str, Any], version: str = "1.0.0", **extra: Any) -> None:
    """One list for every node."""
    conf = {"cniVersion": version, "name": "net", "plugins": list(plugins), **extra}
    for node in lab.nodes():
        node.put(f"{NET_DIR}/10-net.conflist", json.dumps(conf).encode())


def left_behind(lab: Lab) -> list[str]:
    """What of a pod may still be on the master."""
    master = lab.machine("master")
    links = [name for name in master.names("/sys/class/net") if name.startswith("veth")]
    addresses = [name for name in master.names("/var/lib/cni/networks/net") if name[0].isdigit()]
    folders = ("/run/netns", pods.PODS, cni.CACHE)
    return links + addresses + [name for folder in folders for name in master.names(folder)]


def test_a_pod_from_a_single_plugins_configuration_reaches_the_internet(lab: Lab) -> None:
    master = lab.machine("master")
    master.run("sysctl -qw net.ipv4.ip_forward=1")
    master.put(
        f"{NET_DIR}/10-net.conf", json.dumps({"cniVersion": "0.3.1", "name": "net", **BRIDGE}).encode()
    )
    pod = lab.pod_add(master, "web")
    assert pod.address.startswith("10.9.0.")
    assert pod.running
    link = lab.pod_exec("web", "ip -j link show eth0").json()[0]
    assert link["address"] == pod.mac
    lab.pod_exec("web", "ping -c 1 -W 2 %s", "203.0.113.10")
    assert lab.pod_exec("web", "hostname").stdout == "web\n"
    assert "nameserver 172.16.91.2" in lab.pod_exec("web", "cat /etc/resolv.conf").stdout
    assert lab.pod_list() == (pod,)


def test_a_chained_portmap_makes_the_pod_answer_on_the_node(lab: Lab) -> None:
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    configure(lab, BRIDGE, {"type": "portmap", "capabilities": {"portMappings": True}})
    master = lab.machine("master")
    pods.add(lab.env, master, "web", {"portMappings": ports})
    server = lab_machines.INIT.with_name("standins.py")
    lab.pod_node("web").run("exec python3 -I -S %s internet 80 from-the-pod", server)
    assert fetch(lab.host(), "http://172.16.91.10:8080/") == (200, "envctl-internet", "from-the-pod\n")
    lab.pod_rm("web")
    with pytest.raises(NodeError, match="refused"):
        fetch(lab.host(), "http://172.16.91.10:8080/")
    assert left_behind(lab) == []


def test_many_pods_at_once_get_addresses_of_their_own(lab: Lab) -> None:
    configure(lab, BRIDGE)
    names = [f"p{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda name: lab.pod_add(lab.node("master"), name), names))
        assert len({pod.address for pod in added}) == 8
        assert [pod.name for pod in lab.pod_list()] == names
        list(pool.map(lab.pod_rm, names))
    assert left_behind(lab) == []


def test_a_pod_that_a_plugin_refuses_leaves_nothing(lab: Lab) -> None:
    configure(lab, BRIDGE, {"type": "tuning", "sysctl": {"net.ipv4.no.such.thing": "1"}})
    with pytest.raises(cni.PluginError) as caught:
        lab.pod_add(lab.node("master"), "web")
    assert (caught.value.plugin, caught.value.verb) == ("tuning", "ADD")
    assert left_behind(lab) == []
    assert lab.pod_list() == ()


def test_a_plugin_that_is_not_installed_is_named(lab: Lab) -> None:
    configure(lab, {"type": "nothing-like-it"})
    with pytest.raises(cni.PluginError, match="there is no plugin nothing-like-it in /opt/cni/bin of master"):
        lab.pod_add(lab.node("master"), "web")
    assert left_behind(lab) == []


def test_a_node_without_a_network_says_so(lab: Lab) -> None:
    with pytest.raises(cni.NetworkError, match="no network configuration in"):
        lab.pod_add(lab.node("master"), "web")
    assert left_behind(lab) == []


def test_the_first_configuration_by_name_counts(lab: Lab) -> None:
    configure(lab, BRIDGE)
    lab.node("master").put(f"{NET_DIR}/05-first.conf", b'{"name": "first", "type": "nothing-like-it"}')
    lab.node("master").put(f"{NET_DIR}/01-notes.txt", b"not a configuration")
    assert cni.load(lab.node("master")).name == "first"


def test_a_name_is_taken_once_and_must_be_a_label(lab: Lab) -> None:
    configure(lab, BRIDGE)
    lab.pod_add(lab.node("master"), "web")
    with pytest.raises(ProviderError, match="has a pod web already"):
        lab.pod_add(lab.node("worker1"), "web")
    with pytest.raises(ProviderError, match="no name for a pod"):
        lab.pod_add(lab.node("master"), "../web")
    with pytest.raises(ProviderError, match="there is no pod other"):
        lab.pod_rm("other")


def test_a_pod_whose_process_died_is_listed_until_it_is_removed(lab: Lab) -> None:
    configure(lab, BRIDGE)
    pod = lab.pod_add(lab.node("master"), "web")
    lab_machines.kill([lab_machines.pods(lab.env)["master", "web"]])
    assert [(there.address, there.running) for there in lab.pod_list()] == [(pod.address, False)]
    with pytest.raises(ProviderError, match="does not run"):
        lab.pod_exec("web", "true")
    lab.pod_rm("web")
    assert left_behind(lab) == []


def test_a_removed_pods_namespace_is_not_kept_alive_by_its_neighbours(lab: Lab) -> None:
    configure(lab, BRIDGE)
    first = lab.pod_add(lab.node("master"), "first")
    lab.pod_add(lab.node("master"), "second")
    assert "nsfs" not in lab.pod_exec("second", "cat /proc/self/mountinfo").stdout
    lab.pod_rm("first")
    assert first.netns not in lab.node("master").run("cat /proc/self/mountinfo").stdout


def test_check_finds_what_is_no_longer_true(lab: Lab) -> None:
    configure(lab, BRIDGE)
    node = lab.node("master")
    lab.pod_add(node, "web")
    runtime, network = cni.Runtime(node), cni.load(node)
    (sandbox,) = runtime.attachments("net")
    runtime.check(network, sandbox)
    lab.pod_exec("web", "ip addr flush dev eth0")
    with pytest.raises(cni.PluginError) as caught:
        runtime.check(network, sandbox)
    assert caught.value.plugin == "bridge"


def test_gc_frees_what_no_pod_has(lab: Lab) -> None:
    configure(lab, BRIDGE)
    node = lab.machine("master")
    for name in ("kept", "lost"):
        lab.pod_add(node, name)
    runtime, network = cni.Runtime(node), cni.load(node)
    kept = next(sandbox for sandbox in runtime.attachments("net") if sandbox.args["K8S_POD_NAME"] == "kept")
    runtime.status(network)
    runtime.gc(network, [kept])
    assert runtime.attachments("net") == (kept,)
    assert len([name for name in node.names("/var/lib/cni/networks/net") if name[0].isdigit()]) == 1


def test_the_reference_bridge_says_which_versions_it_speaks(lab: Lab) -> None:
    assert {"0.3.1", "0.4.0", "1.0.0"} <= set(cni.Runtime(lab.node("master")).version("bridge"))


def test_a_reboot_takes_the_pods(lab: Lab) -> None:
    configure(lab, BRIDGE)
    lab.pod_add(lab.node("worker1"), "web")
    lab_machines.kill([pid for pid in [lab_machines.machines(lab.env)["worker1"]] if pid])
    until(lambda: not lab_machines.pods(lab.env), what="the pod's process gone with its node")
    lab.create()
    assert lab.pod_list() == ()
    assert lab.node("worker1").names("/run/netns") == []
