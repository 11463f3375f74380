"""The door to the kernel, on a real one: what goes in comes out, twice is once, an error says what was tried."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from brdhcp.errors import InvalidNamespace
from brdhcp.netlink import netns
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    Change,
    DefaultRouter,
    LinkAdd,
    LinkDelete,
    LinkSet,
    NeighbourAdd,
    NextHop,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)
from brdhcp.netlink.kernel import Kernel, KernelError, same_address, same_route

from tests.lab.lan import Machine

BRIDGE = LinkAdd(
    name="br0", kind="bridge", address="02:00:00:00:00:01", data={"stp_state": 0, "forward_delay": 0}, up=True
)
PAIR = LinkAdd(
    name="v0", kind="veth", peer="v1", peer_address="02:00:00:00:00:11", mtu=1400, peer_mtu=1400, up=True
)
HOPS = (NextHop(dev="v1", gateway="10.1.0.1"), NextHop(dev="v1", gateway="10.1.0.9", weight=3))
ADDRESSES = (
    Address(
        dev="v1",
        address="10.1.0.2/24",
        broadcast="10.1.0.255",
        label="v1:x",
        valid_lft=1000,
        preferred_lft=500,
    ),
    Address(dev="v1", address="10.1.2.2/32", peer="10.1.2.3/32", scope=253),
    Address(dev="v1", address="fd91::2/64", flags=0x02 | 0x200, valid_lft=1000, preferred_lft=500),
)
ROUTES = (
    Route(
        family=2,
        dst="default",
        gateway="10.1.0.1",
        dev="v1",
        metric=50,
        metrics={"mtu": 1300, "initcwnd": 20},
    ),
    Route(family=2, dst="10.9.0.0/16", table=1000, multipath=HOPS),
    Route(family=2, dst="10.8.0.0/16", gateway="fe80::1", dev="v1", table=100),
    Route(family=2, dst="10.7.0.0/16", type=6),
    Route(family=2, dst="10.6.0.0/16", gateway="192.168.77.1", dev="v1", flags=4, prefsrc="10.1.0.2"),
    Route(family=10, dst="fd92::/64", gateway="fe80::9", dev="v1", metric=77, expires=300, pref=1),
)
RULES = (
    Rule(
        family=2, priority=100, table=1000, attrs={"FRA_IIFNAME": "v1", "FRA_SRC": "10.0.0.0", "src_len": 8}
    ),
    Rule(family=10, priority=101, table=100, attrs={"FRA_OIFNAME": "v1", "FRA_FWMARK": 5, "FRA_FWMASK": 255}),
)
FAR = Route(family=2, dst="default", gateway="10.77.0.1", dev="v1")


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Machine("one") as machine:
        fd = os.open(f"/proc/{machine.pid}/ns/net", os.O_RDONLY)
        try:
            with Kernel.in_netns(fd) as made:
                yield made
        finally:
            os.close(fd)


@pytest.fixture
def pair(kernel: Kernel) -> Kernel:
    kernel.apply([BRIDGE, PAIR, LinkSet(name="v0", master="br0"), LinkSet(name="v1", up=True)])
    return kernel


def test_one_call_makes_a_bridge_a_pair_and_a_port(pair: Kernel) -> None:
    bridge, port, far = (pair.link(name) for name in ("br0", "v0", "v1"))
    assert bridge is not None and port is not None and far is not None
    assert (bridge.kind, bridge.address, bridge.up, bridge.bridge["forward_delay"]) == (
        "bridge",
        "02:00:00:00:00:01",
        True,
        0,
    )
    assert (port.kind, port.master, port.slave_kind, port.mtu) == ("veth", "br0", "bridge", 1400)
    assert (far.address, far.mtu, far.master) == ("02:00:00:00:00:11", 1400, None)
    assert {link.name for link in pair.links()} == {"lo", "br0", "v0", "v1"}


def test_addresses_come_out_as_they_went_in_and_twice_is_once(pair: Kernel) -> None:
    for _ in range(2):
        pair.apply([AddressAdd(address=address) for address in ADDRESSES])
    for address in ADDRESSES:
        assert any(same_address(address, here) for here in pair.addresses()), address
    for _ in range(2):
        pair.apply([AddressDelete(address=address) for address in ADDRESSES])
    assert not [here for here in pair.addresses() if here.dev == "v1" and here.scope != 253]


def test_routes_of_every_kind_come_out_as_they_went_in_and_twice_is_once(pair: Kernel) -> None:
    pair.apply([AddressAdd(address=address) for address in ADDRESSES])
    for _ in range(2):
        pair.apply([RouteAdd(route=route) for route in ROUTES])
    for route in ROUTES:
        assert any(same_route(route, here) for here in pair.routes()), route
    for _ in range(2):
        pair.apply([RouteDelete(route=route) for route in ROUTES])
    assert not [here for here in pair.routes() for route in ROUTES if same_route(route, here)]


def test_rules_come_out_as_they_went_in_and_twice_is_once(pair: Kernel) -> None:
    for _ in range(2):
        pair.apply([RuleAdd(rule=rule) for rule in RULES])
    found = {rule.priority: rule for rule in pair.rules()}
    for rule in RULES:
        here = found[rule.priority]
        assert (here.family, here.table, here.action) == (rule.family, rule.table, rule.action)
        assert dict(rule.attrs).items() <= dict(here.attrs).items()
    for _ in range(2):
        pair.apply([RuleDelete(rule=found[rule.priority]) for rule in RULES])
    assert not {rule.priority for rule in RULES} & {rule.priority for rule in pair.rules()}


def test_a_prepended_route_is_before_another_of_the_same_metric_which_stays(pair: Kernel) -> None:
    pair.apply([AddressAdd(address=ADDRESSES[0])])
    first, second = (Route(family=2, dst="10.5.0.0/16", gateway=f"10.1.0.{n}", dev="v1") for n in (1, 2))
    for _ in range(2):
        pair.apply([RouteAdd(route=first, prepend=True), RouteAdd(route=second, prepend=True)])
        assert [r.gateway for r in pair.routes() if r.dst == "10.5.0.0/16"] == ["10.1.0.2", "10.1.0.1"]


def test_an_announced_default_route_is_the_kernels_own(pair: Kernel) -> None:
    router = DefaultRouter(dev="br0", gateway="fe80::1", metric=1025, expires=600, pref=3)
    for _ in range(2):
        pair.apply([AddressAdd(address=Address(dev="br0", address="fe80::5/64", scope=253, flags=2)), router])
    (route,) = [r for r in pair.routes() if r.family == 10 and r.dst == "default"]
    assert (route.gateway, route.metric, route.pref, route.dev) == ("fe80::1", 1025, 3, "br0")
    assert route.expires is not None
    assert 590 <= route.expires <= 600


def test_a_neighbour_is_known_and_known_again(pair: Kernel) -> None:
    entry = NeighbourAdd(dev="v1", dst="10.1.0.1", lladdr="02:00:00:00:00:99", state=128)
    pair.apply([entry, entry])
    assert entry in pair.neighbours()


def test_a_setting_is_written_where_the_kernel_is_opened(pair: Kernel) -> None:
    path = "ipv4/conf/v1/rp_filter"
    pair.apply([SysctlSet(path=path, value="2")])
    assert pair.sysctl(path) == "2"
    assert not Path("/proc/sys/net/ipv4/conf/v1").exists()
    assert pair.sysctl("no/such/thing") is None


@pytest.mark.parametrize(
    ("change", "number", "said"),
    [
        (LinkSet(name="nope", up=True), errno.ENODEV, "ip link set dev nope up: ENODEV"),
        (PAIR, errno.EEXIST, "ip link add name v0"),
        (LinkAdd(name="v0", kind="bridge"), errno.EEXIST, "type bridge: EEXIST"),
        (RouteAdd(route=FAR), errno.ENETUNREACH, "(Nexthop has invalid gateway)"),
        (SysctlSet(path="ipv4/conf/v1/nope", value="1"), errno.ENOENT, "sysctl -w net.ipv4.conf.v1.nope=1: ENOENT"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_an_error_says_what_was_tried_and_what_the_kernel_said(
    pair: Kernel, change: Change, number: int, said: str
) -> None:
    with pytest.raises(KernelError) as refused:
        pair.apply([change])
    assert refused.value.errno == number
    assert refused.value.change == change
    assert said in str(refused.value)


def test_the_same_bridge_again_is_no_error_and_another_one_is(pair: Kernel) -> None:
    pair.apply([BRIDGE])
    with pytest.raises(KernelError):
        pair.apply([LinkAdd(name="br0", kind="bridge", address="02:00:00:00:00:02")])


def test_what_is_gone_already_counts_as_removed(pair: Kernel) -> None:
    pair.apply([LinkDelete(name="v0"), LinkDelete(name="v0"), AddressDelete(address=ADDRESSES[0])])
    assert pair.link("v1") is None


def test_after_an_error_in_a_batch_the_rest_of_it_may_be_done_and_undoing_all_leaves_nothing(
    pair: Kernel,
) -> None:
    bad = RouteAdd(route=Route(family=2, dst="10.5.0.0/16", gateway="10.77.0.1", dev="v1"))
    with pytest.raises(KernelError):
        pair.apply([AddressAdd(address=ADDRESSES[0]), bad, AddressAdd(address=ADDRESSES[1])])
    pair.apply(
        [
            AddressDelete(address=ADDRESSES[1]),
            RouteDelete(route=bad.route),
            AddressDelete(address=ADDRESSES[0]),
        ]
    )
    assert not [a for a in pair.addresses() if a.dev == "v1" and ":" not in a.address]


def test_work_in_another_namespace_leaves_the_caller_where_he_is_and_pins_nothing() -> None:
    home = netns.identity("/proc/thread-self/ns/net")
    with Machine("away") as machine:
        fd = os.open(f"/proc/{machine.pid}/ns/net", os.O_RDONLY)
        away = netns.identity(fd)
        assert netns.run_in(fd, lambda: netns.identity("/proc/thread-self/ns/net")) == away
        assert netns.identity("/proc/thread-self/ns/net") == home
        os.close(fd)
    tasks = Path("/proc/self/task").iterdir()
    assert away not in [netns.identity(task / "ns/net") for task in tasks]


def test_an_error_inside_comes_back_and_the_next_call_works() -> None:
    with Machine("away") as machine:
        fd = os.open(f"/proc/{machine.pid}/ns/net", os.O_RDONLY)
        with pytest.raises(ZeroDivisionError):
            netns.run_in(fd, lambda: 1 // 0)
        assert netns.run_in(fd, lambda: 7) == 7
        os.close(fd)


def test_what_is_no_namespace_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    fd = os.open(file, os.O_RDONLY)
    with pytest.raises(InvalidNamespace, match="not a network namespace"):
        netns.run_in(fd, lambda: None)
    os.close(fd)
    with pytest.raises(InvalidNamespace):
        netns.identity(tmp_path / "missing")
