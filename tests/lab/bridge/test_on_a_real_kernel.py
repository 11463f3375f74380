"""Plans done by a real kernel: what they make is there, CHECK agrees with it, undoing leaves nothing, guards guard."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from brdhcp.bridge import nft, outcome, plan, pod
from brdhcp.bridge.check import Promised, There, differences
from brdhcp.netlink.change import Step
from brdhcp.netlink.kernel import Kernel, KernelError
from brdhcp.spec.netconf import Bridge
from brdhcp.spec.result import Interface, IPConfig, Result, Route

from tests.lab.lan import Machine, until

CONF = Bridge(name="mybr0")


def lease(last: int) -> Result:
    return Result(
        ips=(IPConfig(address=ip_interface(f"172.16.91.{last}/24"), gateway=ip_address("172.16.91.2")),),
        routes=(
            Route(dst=ip_network("0.0.0.0/0"), gw=ip_address("172.16.91.2")),
            Route(dst=ip_network("10.96.0.0/12"), gw=ip_address("172.16.91.10")),
        ),
    )


@dataclass
class Pod:
    fd: int
    kernel: Kernel
    port: plan.Port


class Node:
    """A machine whose namespaces are worked on from here, as the agent does."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._fds = [os.open(f"/proc/{machine.pid}/ns/net", os.O_RDONLY)]
        self.kernel = Kernel.in_netns(self._fds[0])
        self._kernels = [self.kernel]

    def do(self, kernel: Kernel, *steps: Step) -> None:
        for step in steps:
            kernel.apply(step.do)

    def undo(self, kernel: Kernel, steps: Iterable[Step]) -> None:
        for step in reversed(tuple(steps)):
            kernel.apply(step.undo)

    def plug(self, name: str, conf: Bridge = CONF) -> Pod:
        """A namespace with its port, up."""
        self.machine.run(f"ip netns add {name}")
        fd = os.open(f"/proc/{self.machine.pid}/root/run/netns/{name}", os.O_RDONLY)
        kernel = Kernel.in_netns(fd)
        self._fds.append(fd)
        self._kernels.append(kernel)
        here = self.kernel.link(conf.name)
        self.do(self.kernel, *plan.ensure_bridge(conf, here, "boot"))
        port = plan.port_of(conf, here, container_id=name, if_name="eth0", network="n", mac=None, seed="boot")
        self.do(self.kernel, *plan.attach(conf, port, fd))
        self.do(kernel, pod.link_up("eth0"))
        return Pod(fd, kernel, port)

    def json(self, command: str) -> Any:
        return json.loads(self.machine.run(command).stdout)

    def close(self) -> None:
        for kernel in self._kernels:
            kernel.close()
        for fd in self._fds:
            os.close(fd)


@pytest.fixture
def node() -> Iterator[Node]:
    with Machine("node") as machine:
        node = Node(machine)
        yield node
        node.close()


def there(node: Node, one: Pod) -> There:
    return There(
        bridge=node.kernel.link("mybr0"),
        veth=node.kernel.link(one.port.veth),
        pod=one.kernel.link("eth0"),
        addresses=one.kernel.addresses(),
        routes=one.kernel.routes(),
    )


def ipv4(kernel: Kernel) -> list[str]:
    """The IPv4 addresses; those of IPv6 come and go by themselves."""
    return [address.address for address in kernel.addresses() if ":" not in address.address]


def promised(one: Pod, result: Result, conf: Bridge = CONF) -> Promised:
    whole = outcome.complete(
        result,
        bridge=Interface(name=conf.name, mac=one.port.bridge_mac),
        port=Interface(name=one.port.veth, mac=one.port.veth_mac),
        pod=Interface(name="eth0", mac=one.port.mac, sandbox="/run/netns/a"),
    )
    return Promised(
        conf=conf, result=whole, if_name="eth0", netns="/run/netns/a", veth=one.port.veth, mac=one.port.mac
    )


def test_two_pods_reach_each_other_at_once_and_check_agrees(node: Node) -> None:
    first, second = node.plug("a"), node.plug("b")
    for one, last in ((first, 131), (second, 132)):
        node.do(one.kernel, pod.configure("eth0", lease(last)))
        assert differences(promised(one, lease(last)), there(node, one)) == ()
    node.machine.run("ip netns exec a ping -c 1 -W 2 172.16.91.132")
    bridge = node.kernel.link("mybr0")
    assert bridge is not None
    assert (bridge.address, bridge.bridge["stp_state"]) == (first.port.bridge_mac, 0)
    assert node.machine.run("cat /proc/sys/net/ipv6/conf/mybr0/accept_ra").stdout == "1\n"


def test_undoing_every_step_leaves_nothing(node: Node) -> None:
    before = node.kernel.links()
    node.machine.run("ip netns add a")
    fd = os.open(f"/proc/{node.machine.pid}/root/run/netns/a", os.O_RDONLY)
    steps = list(plan.ensure_bridge(CONF, None, "boot"))
    port = plan.port_of(CONF, None, container_id="a", if_name="eth0", network="n", mac=None, seed="boot")
    steps += plan.attach(CONF, port, fd)
    node.do(node.kernel, *steps)
    with Kernel.in_netns(fd) as inside:
        up, configured = pod.link_up("eth0"), pod.configure("eth0", lease(131))
        node.do(inside, up)
        node.do(inside, configured)
        node.undo(inside, [configured])
        assert ipv4(inside) == []
        assert {r for r in map(str, inside.routes()) if "172.16" in r} == set()
        node.undo(node.kernel, steps)
        node.undo(node.kernel, steps)
        assert inside.link("eth0") is None
    os.close(fd)
    assert node.kernel.links() == before


def test_a_lease_that_changes_is_followed_and_can_be_taken_back(node: Node) -> None:
    one = node.plug("a")
    old, new = lease(131), lease(140)
    node.do(one.kernel, pod.configure("eth0", old))
    step = pod.reconfigure("eth0", old, new, old_mtu=1500, new_mtu=1400)
    assert step is not None
    node.do(one.kernel, step)
    assert differences(promised(one, new), there(node, one)) == ()
    link = one.kernel.link("eth0")
    assert link is not None
    assert link.mtu == 1400
    assert ipv4(one.kernel) == ["172.16.91.140/24"]
    one.kernel.apply(step.undo)
    assert differences(promised(one, old), there(node, one)) == ()


def test_a_gateway_off_the_link_is_reached(node: Node) -> None:
    one = node.plug("a")
    result = Result(
        ips=(IPConfig(address=ip_interface("172.16.91.131/32")),),
        routes=(Route(dst=ip_network("0.0.0.0/0"), gw=ip_address("172.16.91.2")),),
    )
    node.do(one.kernel, pod.configure("eth0", result, metric=50))
    assert differences(promised(one, result), there(node, one)) == ()


def test_a_pod_with_a_smaller_mtu_does_not_shrink_the_bridge(node: Node) -> None:
    node.machine.ip(
        "link add mybr0 type bridge",
        "link add nic type veth peer name lan",
        "link set nic mtu 9000 master mybr0 up",
    )
    node.machine.ip("link set mybr0 up")
    one = node.plug("a", replace(CONF, mtu=1400))
    links = {name: node.kernel.link(name) for name in ("mybr0", one.port.veth)}
    inside = one.kernel.link("eth0")
    assert [link.mtu for link in (*links.values(), inside) if link] == [9000, 9000, 1400]


def test_a_bridge_without_a_mac_of_its_own_keeps_it_when_a_pod_comes(node: Node) -> None:
    node.machine.ip(
        "link add mybr0 type bridge", "link add nic address 02:00:5e:00:00:10 type veth peer name lan"
    )
    node.machine.ip("link set nic master mybr0 up", "link set mybr0 up")
    node.plug("a")
    bridge = node.kernel.link("mybr0")
    assert bridge is not None
    assert bridge.address == "02:00:5e:00:00:10"


def test_settings_of_the_port_arrive(node: Node) -> None:
    conf = replace(CONF, hairpin_mode=True, port_isolation=True)
    one = node.plug("a", conf)
    assert differences(promised(one, Result(), conf), there(node, one)) == ()
    assert differences(promised(one, Result()), there(node, one)) == (
        f"{one.port.veth} has hairpin mode on",
        f"{one.port.veth} has port isolation on",
    )


def test_vlans_arrive_or_the_kernel_that_has_none_is_named_and_left_as_it_was(node: Node) -> None:
    access = replace(CONF, vlan=5, preserve_default_vlan=False)
    trunk = replace(CONF, vlan_trunk=((5, 5), (10, 12)))
    try:
        ports = [node.plug("a", access).port, node.plug("b", trunk).port]
    except KernelError as error:
        assert error.errno == errno.EOPNOTSUPP
        assert "vlan_filtering 1" in error.msg
        assert node.kernel.link("mybr0") is None
        return
    carried = []
    for port in ports:
        (vlans,) = node.json(f"bridge -j vlan show dev {port.veth}")
        carried.append(
            {
                v
                for entry in vlans["vlans"]
                for v in range(entry["vlan"], entry.get("vlanEnd", entry["vlan"]) + 1)
            }
        )
    assert carried == [{5}, {1, 5, 10, 11, 12}]


def test_a_gateway_of_another_ipam_is_made_and_unmade(node: Node) -> None:
    conf = replace(CONF, is_gateway=True)
    node.plug("a", conf)
    result = Result(ips=(IPConfig(address=ip_interface("10.0.0.5/24"), gateway=ip_address("10.0.0.1")),))
    before = node.kernel.addresses()
    sysctls = {"ipv4/ip_forward": node.kernel.sysctl("ipv4/ip_forward") or ""}
    steps = plan.gateway(conf, result, before, sysctls=sysctls)
    node.do(node.kernel, *steps)
    assert node.kernel.sysctl("ipv4/ip_forward") == "1"
    assert plan.gateway(conf, result, node.kernel.addresses(), sysctls={"ipv4/ip_forward": "1"}) == ()
    node.undo(node.kernel, steps)
    assert node.kernel.sysctl("ipv4/ip_forward") == sysctls["ipv4/ip_forward"]
    assert ipv4(node.kernel) == ["127.0.0.1/8"]


ROGUE = """
import socket
rogue = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
rogue.bind(("", 67))
rogue.sendto(b"offer", ("172.16.91.132", 68))
"""


def rules_of(one: Pod, conf: Bridge, last: int) -> nft.Ruleset:
    addresses = [ip_interface(f"172.16.91.{last}/24"), ip_interface("fd00::5/64")]
    return nft.of_port(conf, veth=one.port.veth, mac=one.port.mac, addresses=addresses)


ALL_GUARDS = replace(
    CONF, mac_spoof_check=True, spoof_guard=True, dhcp_guard=True, ra_guard=True, ip_masq=True
)


def test_nft_takes_the_rules_any_number_of_times_and_both_ways(node: Node) -> None:
    found = rules_of(node.plug("a"), ALL_GUARDS, 131)
    for text in (
        found.remove,
        found.tables + found.add,
        found.tables + found.add,
        found.remove,
        found.remove,
    ):
        node.machine.run("nft -f -", stdin=text)
    assert "elements" not in node.machine.run("nft list ruleset").stdout


def test_a_guarded_pod_speaks_for_itself_only(node: Node) -> None:
    first, second = node.plug("a"), node.plug("b")
    for one, last in ((first, 131), (second, 132)):
        node.do(one.kernel, pod.configure("eth0", lease(last)))
    found = rules_of(first, ALL_GUARDS, 131)
    node.machine.run("nft -f -", stdin=found.tables + found.add)
    ping = "ip netns exec a ping -c 1 -W 1 172.16.91.132"
    node.machine.run(ping)

    def dropped(word: str) -> int:
        rules = node.json("nft -j list chain bridge brdhcp from_pods")["nftables"]
        return sum(
            part["counter"]["packets"]
            for rule in rules
            if rule.get("rule", {}).get("comment") == word
            for part in rule["rule"]["expr"]
            if "counter" in part
        )

    assert (dropped("macspoofchk"), dropped("spoofGuard")) == (0, 0)
    node.machine.run("ip -n a addr add 172.16.91.77/24 dev eth0")
    assert node.machine.run(f"{ping} -I 172.16.91.77", check=False).returncode != 0
    assert dropped("spoofGuard") > 0
    node.machine.run("ip -n a link set eth0 address 02:00:00:00:00:99")
    assert node.machine.run(ping, check=False).returncode != 0
    assert dropped("macspoofchk") > 0
    node.machine.run(f"ip -n a link set eth0 address {first.port.mac}")
    node.machine.run("ip netns exec a python3 -c '" + ROGUE + "'")
    until(lambda: dropped("dhcpGuard") > 0, what="the dropped DHCP answer")
    node.machine.run("nft -f -", stdin=found.remove)
    node.machine.run(f"{ping} -I 172.16.91.77")
