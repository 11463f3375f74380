"""A node whose own address comes from DHCP: its lease is renewed after the migration, and given back by a rollback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.lan import Lan, until
from tests.lab.uplink.rig import STATE, by_dhclient, uplink

LEASE_S = 8
UDHCPD = f"""\
start 172.16.91.128
end 172.16.91.253
interface eth0
min_lease 1
max_leases 100
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
option subnet 255.255.255.0
option router 172.16.91.2
option lease {LEASE_S}
static_lease {Lan.NODE_MAC} 172.16.91.10
"""
DHCLIENT = "dhclient -4 -v -lf /run/dhclient.leases -pf /run/dhclient.pid eth0"
# As ifup-eth of CentOS 7's network-scripts starts it, where the NIC's file has no UUID; -H, which is Red Hat's own, is
# left out.
FILES = "-lf /var/lib/dhclient/dhclient--eth0.lease -pf /var/run/dhclient-eth0.pid"
IFUP_ETH = f"/sbin/dhclient -q {FILES} eth0"
IFCFG = "/etc/sysconfig/network-scripts/ifcfg"


@pytest.fixture
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    """The node got .10 from a server that grants eight seconds, by dhclient; an agent runs."""
    with Lan(serve=False) as made:
        router = made.router
        router.run("sh -c 'cat >/run/udhcpd.conf; : >/run/udhcpd.leases'", stdin=UDHCPD)
        server = router.spawn("udhcpd -f /run/udhcpd.conf")
        until(lambda: ":67 " in router.run("ss -Hlun").stdout, what="udhcpd listens")
        agent = by_dhclient(made, getattr(request, "param", DHCLIENT))
        try:
            yield made
        finally:
            made.close()
            server.wait()
            agent.wait()


def left(lan: Lan, dev: str) -> int:
    """Seconds that the node's address on ``dev`` still has; 0 when it is not there."""
    for link in json.loads(lan.node.run("ip -j -4 addr").stdout):
        for address in link["addr_info"]:
            if (link["ifname"], address["local"]) == (dev, "172.16.91.10"):
                return int(address["valid_life_time"])
    return 0


def routes(lan: Lan, dev: str) -> list[tuple[str, str | None, int | None]]:
    """Destination, gateway and metric of the IPv4 routes by ``dev``."""
    said = json.loads(lan.node.run(f"ip -j -4 route show dev {dev}").stdout)
    return sorted((route["dst"], route.get("gateway"), route.get("metric")) for route in said)


def test_the_nodes_lease_outlives_its_expiry_on_the_bridge_and_dhclient_is_back_after_a_rollback(
    lan: Lan,
) -> None:
    assert 0 < left(lan, "eth0") <= LEASE_S
    uplink(lan, "migrate --confirm-within 60 --persist none")
    uplink(lan, "confirm")
    assert not lan.node.run("pgrep -x -r S dhclient", check=False).stdout
    rises = 0
    before = left(lan, "mybr0")
    assert before > 0

    def past_expiry() -> bool:
        nonlocal rises, before
        now = left(lan, "mybr0")
        assert now > 0, "the node lost its address"
        rises += now > before
        before = now
        return rises >= 3

    # Three renewals, each at half of eight seconds: well past the end of the lease that dhclient had.
    until(past_expiry, within=30, what="the lease is renewed for the third time")
    lan.host.run("ping -c 1 -W 1 172.16.91.10")
    uplink(lan, "rollback")
    assert lan.node.run("pgrep -x -r S dhclient").stdout
    assert left(lan, "eth0") > 0
    assert left(lan, "mybr0") == 0
    record = f"{STATE}/uplink/node-lease.json"
    assert lan.node.run(f"test -e {record}", check=False).returncode
    lan.host.run("ping -c 1 -W 1 172.16.91.10")


def test_an_address_that_was_lost_with_the_server_comes_back_with_its_routes(lan: Lan) -> None:
    """The kernel lets it expire, and the routes with it; the agent goes on asking."""
    lan.node.ip("route add 192.0.2.0/24 via 172.16.91.1 dev eth0 metric 50")
    before = routes(lan, "eth0")
    uplink(lan, "migrate --confirm-within 60 --persist none")
    uplink(lan, "confirm")
    until(lambda: left(lan, "mybr0") > LEASE_S // 2, what="the agent has renewed the lease")
    lan.router.run("pkill -x udhcpd")
    until(lambda: not routes(lan, "mybr0"), within=3 * LEASE_S, what="the kernel ends address and routes")
    assert left(lan, "mybr0") == 0
    server = lan.router.spawn("udhcpd -f /run/udhcpd.conf")
    try:
        until(lambda: left(lan, "mybr0") > 0, within=30, what="the node has its address again")
        until(lambda: routes(lan, "mybr0") == before, what="its routes are there again")
        lan.host.run("ping -c 1 -W 1 172.16.91.10")
    finally:
        lan.router.run("pkill -x udhcpd")
        server.wait()


def test_an_address_that_ends_before_its_lease_is_due_for_renewal_is_renewed_at_once(lan: Lan) -> None:
    """A dhclient that is started again for an address that is there (a rollback does it) does not prolong it."""
    lan.node.run("pkill -KILL -x dhclient")
    lan.router.run("pkill -x udhcpd")
    lan.router.run(f"sed -i 's/lease {LEASE_S}$/lease 600/' /run/udhcpd.conf")
    server = lan.router.spawn("udhcpd -f /run/udhcpd.conf")
    try:
        lan.node.run(DHCLIENT)
        written = "grep -q 'dhcp-lease-time 600;' /run/dhclient.leases"
        until(lambda: not lan.node.run(written, check=False).returncode, what="dhclient has a lease of 600 s")
        lan.node.ip("addr change 172.16.91.10/24 dev eth0 valid_lft 60 preferred_lft 60")
        uplink(lan, "migrate --confirm-within 60 --persist none")
        uplink(lan, "confirm")
        until(lambda: left(lan, "mybr0") > 500, what="the agent has renewed the lease")
    finally:
        lan.router.run("pkill -x udhcpd")
        server.wait()


def test_a_rollback_ends_the_client_that_a_boot_gave_to_the_bridge(lan: Lan) -> None:
    """After a reboot the bridge's own dhclient keeps the address, by the files that were written at confirm."""
    uplink(lan, "migrate --confirm-within 60 --persist none")
    uplink(lan, "confirm")
    lan.node.run("dhclient -4 -v -lf /run/mybr0.leases -pf /run/dhclient.mybr0.pid mybr0")
    uplink(lan, "rollback")
    said = lan.node.run("pgrep -a -x -r S dhclient").stdout
    assert "eth0" in said and "mybr0" not in said
    uplink(lan, "migrate --confirm-within 60 --persist none")
    uplink(lan, "confirm")
    lan.host.run("ping -c 1 -W 1 172.16.91.10")


@pytest.mark.parametrize("lan", [IFUP_ETH], indirect=True)
def test_the_client_of_network_scripts_is_known_and_the_nics_file_becomes_the_bridges(lan: Lan) -> None:
    node = lan.node
    box = 'DEVICE="eth0"\nBOOTPROTO="dhcp"\nONBOOT="yes"\nPERSISTENT_DHCLIENT="yes"\nNM_CONTROLLED=no\n'
    node.run(
        f"sh -c 'rm -rf /etc/network /etc/netplan; mkdir -p {Path(IFCFG).parent}; cat >{IFCFG}-eth0'",
        stdin=box,
    )
    uplink(lan, "migrate --confirm-within 60 --persist auto")
    uplink(lan, "confirm")
    assert not node.run("pgrep -x -r S dhclient", check=False).stdout
    port, bridge = (node.run(f"cat {IFCFG}-{nic}").stdout.splitlines() for nic in ("eth0", "mybr0"))
    assert {"BOOTPROTO=none", "BRIDGE=mybr0", "NM_CONTROLLED=no"} <= set(port)
    assert {"DEVICE=mybr0", 'BOOTPROTO="dhcp"', 'PERSISTENT_DHCLIENT="yes"', "NM_CONTROLLED=no"} <= set(
        bridge
    )
    uplink(lan, "rollback")
    assert IFUP_ETH in node.run("pgrep -a -x -r S dhclient").stdout
    assert node.run(f"cat {IFCFG}-eth0").stdout == box
