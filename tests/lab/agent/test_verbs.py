"""The verbs of the CNI SPEC through both real shims, a real agent and a real DHCP server."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from envctl.providers.lab_plugin import COMPILED_SHIM, SHIM
from tests.lab.agent.rig import NOTE, STATE, Rig
from tests.lab.lan import until

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
_numbers = itertools.count()


@pytest.fixture(autouse=True, params=[SHIM, COMPILED_SHIM], ids=["python", "compiled"])
def carrier(request: pytest.FixtureRequest, shared: Rig) -> None:
    """Which shim a runtime would find on the node."""
    shared.shim = request.param


@pytest.fixture
def pod(shared: Rig) -> Iterator[str]:
    """A container of its own on the shared node; gone with everything it had when the test ends."""
    name = f"pod{next(_numbers)}"
    shared.pod(name)
    yield name
    shared.cni("DEL", name)
    shared.lan.node.run(f"ip netns del {name}", check=False)
    shared.nothing_left()


def conf(**keys: Any) -> dict[str, Any]:
    return {**NOTE, "cniVersion": "1.1.0", **keys}


def test_the_configuration_of_the_note_gives_a_pod_an_address_of_the_lan(shared: Rig, pod: str) -> None:
    answer = shared.cni("ADD", pod)
    assert answer.status == 0, answer.stdout
    bridge, veth, inside = answer.json["interfaces"]
    assert (bridge["name"], inside["name"], inside["sandbox"]) == ("mybr0", "eth0", f"/run/netns/{pod}")
    assert IPv4Address("172.16.91.128") <= IPv4Address(answer.address) <= IPv4Address("172.16.91.253")
    assert shared.lan.server_leases() == {inside["mac"]: answer.address}
    assert answer.json["dns"] == {"nameservers": ["172.16.91.2"]}
    shared.lan.host.run(f"ping -c 1 -W 5 {answer.address}")
    neighbours = json.loads(shared.lan.host.run("ip -j neigh").stdout)
    assert [n["lladdr"] for n in neighbours if n["dst"] == answer.address] == [inside["mac"]]
    assert veth["name"] in shared.links()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_gets_the_result_in_its_own_form(shared: Rig, pod: str, version: str) -> None:
    result = shared.cni("ADD", pod, {**NOTE, "cniVersion": version}).json
    assert result["cniVersion"] == version
    if version in ("0.1.0", "0.2.0"):
        assert result["ip4"]["gateway"] == "172.16.91.2"
        assert "interfaces" not in result
    else:
        assert result["ips"][0]["interface"] == 2
        assert ("version" in result["ips"][0]) == (version < "1.0.0")
        assert ("mtu" in result["interfaces"][2]) == (version == "1.1.0")


def test_the_pods_name_reaches_the_server_and_the_leases_domain_reaches_the_pod(
    shared: Rig, pod: str
) -> None:
    shared.cni("ADD", pod, args="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0")
    leases = shared.lan.router.run("cat /run/dnsmasq.leases").stdout
    assert " web-0 " in leases
    assert shared.leases()[0]["pod"] == "shop/web-0"


def test_check_is_silent_when_all_is_well_and_names_what_is_not(shared: Rig, pod: str) -> None:
    result = shared.cni("ADD", pod, conf()).json
    check = conf(prevResult=result)
    assert shared.cni("CHECK", pod, check).stdout == ""
    shared.lan.node.run(f"ip -n {pod} route del default")
    shared.lan.node.run(f"ip link set dev {result['interfaces'][1]['name']} nomaster")
    error = shared.cni("CHECK", pod, check)
    assert (error.status, error.json["code"]) == (1, 103)
    assert "no route to 0.0.0.0/0" in error.json["msg"]
    assert "not in mybr0" in error.json["msg"]


def test_check_asks_the_server_nothing(shared: Rig, pod: str) -> None:
    result = shared.cni("ADD", pod, conf()).json
    mac = result["interfaces"][2]["mac"]

    def heard() -> list[str]:
        log = shared.lan.router.run("cat /run/dnsmasq.log").stdout.splitlines()
        return re.findall(rf"(DHCP[A-Z]+)\(.*{mac}", "\n".join(log))

    until(lambda: heard()[-1:] == ["DHCPACK"], what="the server's log has all of the ADD")
    before = heard()
    for _ in range(5):
        assert shared.cni("CHECK", pod, conf(prevResult=result)).stdout == ""
    shared.ctl("renew")
    until(lambda: heard()[len(before) :][-1:] == ["DHCPACK"], what="what was sent later is there")
    assert heard()[len(before) :] == ["DHCPREQUEST", "DHCPACK"]


def test_a_client_id_as_long_as_one_may_be_reaches_the_server_and_the_release_has_it_too(
    shared: Rig, pod: str
) -> None:
    long = "x" * 220
    assert shared.cni("ADD", pod, conf(clientId=long)).status == 0
    known = shared.lan.router.run(f"cat {shared.lan.LEASES}").stdout.split()[4].replace(":", "")
    assert bytes.fromhex(known).endswith(long.encode())
    assert shared.cni("DEL", pod, conf(clientId=long)).status == 0
    shared.nothing_left()


def test_a_pod_announces_its_address_twice(shared: Rig, pod: str) -> None:
    mac = "02:00:5e:00:77:03"
    dump = shared.lan.host.spawn(
        f"tcpdump -lni eth0 -c 2 'arp and ether src {mac} and not arp src host 0.0.0.0'",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert dump.stderr is not None
    until(lambda: "listening" in dump.stderr.readline(), what="tcpdump listens")  # type: ignore[union-attr]
    answer = shared.cni("ADD", pod, conf(capabilities={"mac": True}, runtimeConfig={"mac": mac}))
    seen = dump.communicate(timeout=30)[0].splitlines()
    assert len(seen) == 2
    assert all(f"who-has {answer.address}" in line and f"tell {answer.address}" in line for line in seen)


def test_the_service_route_leads_through_the_nodes_own_address(shared: Rig, pod: str) -> None:
    shared.cni("ADD", pod, conf(serviceCIDR="10.96.0.0/12"))
    routes = json.loads(shared.lan.node.run(f"ip -n {pod} -j route").stdout)
    assert [r["gateway"] for r in routes if r["dst"] == "10.96.0.0/12"] == ["172.16.91.10"]


def test_a_mac_that_the_runtime_asks_for_is_the_pods_and_the_leases(shared: Rig, pod: str) -> None:
    wanted = "02:00:5e:00:77:01"
    answer = shared.cni("ADD", pod, conf(capabilities={"mac": True}, runtimeConfig={"mac": wanted}))
    assert answer.json["interfaces"][2]["mac"] == wanted
    assert list(shared.lan.server_leases()) == [wanted]


def test_del_gives_the_address_back_and_succeeds_for_what_is_gone(shared: Rig, pod: str) -> None:
    shared.cni("ADD", pod)
    for _ in range(2):
        gone = shared.cni("DEL", pod)
        assert (gone.status, gone.stdout) == (0, "")
    shared.nothing_left()


def test_del_gives_the_address_back_after_the_namespace_has_gone_first(shared: Rig, pod: str) -> None:
    shared.cni("ADD", pod)
    shared.lan.node.run(f"ip netns del {pod}")
    assert shared.cni("DEL", pod).status == 0
    shared.nothing_left()


def test_del_on_a_network_whose_add_was_refused_leaves_the_other_networks_interface_alone(
    shared: Rig, pod: str
) -> None:
    address = shared.cni("ADD", pod).address
    refused = shared.cni("ADD", pod, conf(name="second"))
    assert (refused.status, refused.json["code"]) == (1, 4)
    assert shared.cni("DEL", pod, conf(name="second")).status == 0
    shared.lan.host.run(f"ping -c 1 -W 5 {address}")


def test_gc_ends_what_it_can_and_says_what_it_cannot(node: Rig) -> None:
    for name in ("a", "b", "c"):
        node.add(name, conf())
    kept = node.lan.node.run(f"sh -c 'ls {STATE}/attachments/b-*'").stdout.strip()
    node.lan.node.run(f"mount --bind {kept} {kept}")
    nobody: dict[str, Any] = conf(**{"cni.dev/valid-attachments": []})
    failed = node.cni("GC", "", nobody)
    assert (failed.status, failed.json["code"]) == (1, 5)
    assert "mycninet/b/eth0" in failed.json["msg"]
    assert [lease["container"] for lease in node.leases()] == ["b"]
    node.lan.node.run(f"umount {kept}")
    assert node.cni("GC", "", nobody).status == 0
    node.nothing_left()


def test_gc_ends_what_the_the_runtime_does_not_name(shared: Rig, pod: str) -> None:
    shared.cni("ADD", pod, conf())
    shared.add("known", conf())
    valid = [{"containerID": "known", "ifname": "eth0"}]
    assert shared.cni("GC", "", conf(**{"cni.dev/valid-attachments": valid})).status == 0
    assert [lease["container"] for lease in shared.leases()] == ["known"]
    shared.cni("DEL", "known")
    shared.lan.node.run("ip netns del known")


def test_status_is_silent_when_the_next_add_would_succeed(shared: Rig) -> None:
    answer = shared.cni("STATUS", "", conf())
    assert (answer.status, answer.stdout) == (0, "")


def test_status_says_that_the_next_add_would_make_a_bridge_that_leads_nowhere(shared: Rig) -> None:
    answer = shared.cni("STATUS", "", conf(bridge="br9"))
    assert (answer.status, answer.json["code"]) == (1, 50)
    assert "brdhcpctl uplink" in answer.json["details"]


def test_twenty_pods_at_once_have_twenty_addresses(node: Rig, shared: Rig) -> None:
    node.shim = shared.shim
    names = [f"c{i}" for i in range(20)]
    with ThreadPoolExecutor(20) as pool:
        addresses = {answer.address for answer in pool.map(node.add, names)}
    assert len(addresses) == 20
    assert set(node.lan.server_leases().values()) == addresses
    with ThreadPoolExecutor(20) as pool:
        assert all(answer.status == 0 for answer in pool.map(lambda name: node.cni("DEL", name), names))
    node.nothing_left()


def test_two_adds_for_one_container_at_once_give_one_pod_and_one_refusal(shared: Rig, pod: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: shared.cni("ADD", pod), range(2)))
    assert sorted(answer.status for answer in answers) == [0, 1]
    refused = next(answer for answer in answers if answer.status)
    assert refused.json["code"] == 4
    assert "CNI_IFNAME" in refused.json["details"]
    assert len(shared.lan.server_leases()) == 1


def test_ipam_alone_serves_the_reference_bridge_and_releases_after_it_deleted_the_link(
    shared: Rig, pod: str
) -> None:
    folder = "/run/cni-bin"
    shared.lan.node.run(
        f"sh -c 'mkdir -p {folder}; cp /usr/lib/cni/bridge {folder}; cp {shared.shim} {folder}/brdhcp-ipam'"
    )
    reference = {
        "cniVersion": "1.0.0",
        "name": "other",
        "type": "bridge",
        "bridge": "mybr0",
        "ipam": {"type": "brdhcp-ipam"},
    }
    path = f"{folder}:/usr/lib/cni"
    answer = shared.cni("ADD", pod, reference, shim=Path(folder) / "bridge", CNI_PATH=path)
    assert answer.status == 0, answer.stdout
    assert set(shared.lan.server_leases().values()) == {answer.address}
    shared.lan.host.run(f"ping -c 1 -W 5 {answer.address}")
    assert shared.cni("DEL", pod, reference, shim=Path(folder) / "bridge", CNI_PATH=path).status == 0
    until(lambda: shared.lan.server_leases() == {}, what="the server has the address back")


def test_another_ipam_is_delegated_to_and_its_address_is_free_again_after_del(shared: Rig, pod: str) -> None:
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]], "dataDir": "/run/host-local",
            "routes": [{"dst": "0.0.0.0/0"}]}  # fmt: skip
    answer = shared.cni("ADD", pod, conf(cniVersion="1.0.0", ipam=ipam, name="delegated"))
    assert answer.status == 0, answer.stdout
    assert answer.address.startswith("10.77.0.")
    assert shared.lan.node.run("find /run/host-local/delegated -name 10.77*").stdout
    assert shared.cni("DEL", pod, conf(cniVersion="1.0.0", ipam=ipam, name="delegated")).status == 0
    assert not shared.lan.node.run("find /run/host-local/delegated -name 10.77*").stdout


def test_a_pod_may_have_two_networks_and_the_first_ones_default_route_counts(node: Rig) -> None:
    second = conf(name="second")
    first = node.add("web", conf())
    other = node.cni("ADD", "web", second, if_name="net1")
    assert other.status == 0, other.stdout
    assert first.address != other.address

    def ways_out() -> list[str]:
        routes = json.loads(node.lan.node.run("ip -n web -j -4 route show default").stdout)
        return [route["dev"] for route in routes]

    assert ways_out() == ["eth0", "net1"]
    assert node.cni("CHECK", "web", {**second, "prevResult": other.json}, if_name="net1").stdout == ""
    assert node.cni("CHECK", "web", conf(prevResult=first.json)).stdout == ""
    assert node.cni("DEL", "web").status == 0
    assert ways_out() == ["net1"]
    node.lan.host.run(f"ping -c 1 -W 5 {other.address}")
    assert node.cni("DEL", "web", second, if_name="net1").status == 0
    node.nothing_left()


def test_a_new_sandbox_of_the_same_pod_has_its_mac_and_address_again(shared: Rig, pod: str) -> None:
    args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db-0"
    first = shared.cni("ADD", pod, conf(clientId="pod"), args=args)
    shared.cni("DEL", pod, conf(clientId="pod"), args=args)
    again = f"{pod}-again"
    second = shared.add(again, conf(clientId="pod"), args=args)
    assert second.json["interfaces"][2]["mac"] == first.json["interfaces"][2]["mac"]
    assert second.address == first.address
    shared.cni("DEL", again, conf(clientId="pod"), args=args)
    shared.lan.node.run(f"ip netns del {again}")
