"""The uplink migration on a real kernel: nothing is lost on the way there, on the way back, or when it is cut off."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.lab.lan import Lan, until
from tests.lab.uplink.rig import STATE, Probe, Stream, everything, same, settled, uplink

Setup = Callable[[Lan], None]


def plain(lan: Lan) -> None:
    """The node of the note: one static address, one default route."""


def crowded(lan: Lan) -> None:
    """Several addresses with labels, scopes and lifetimes, routes of many kinds, policy rules, strict filters."""
    lan.node.ip(
        "addr add 172.16.91.11/24 dev eth0 label eth0:web",
        "addr add 10.9.0.1/30 dev eth0 scope link",
        "addr add 172.16.91.12/24 dev eth0 valid_lft 3000 preferred_lft 2000",
        "addr add fd91::10/64 dev eth0 nodad",
        "addr add fd91:1::10/64 dev eth0 valid_lft 3000 preferred_lft 2000 nodad",
        "route add 192.0.2.0/24 via 172.16.91.1 dev eth0 metric 50 mtu 1400",
        "route add 198.51.100.0/24 via 10.66.6.6 dev eth0 onlink",
        "route add 203.0.113.0/24 dev eth0 scope link src 172.16.91.11 table 100",
        "route add default via 172.16.91.2 dev eth0 table 100",
        "route add blackhole 192.168.99.0/24",
        "rule add from 172.16.91.11 lookup 100 priority 1000",
        "rule add iif eth0 fwmark 0x10 lookup 100 priority 1001",
        "route add 2001:db8:1::/48 via fd91::1 dev eth0 metric 77",
        "route add default via fe80::1 dev eth0 metric 1024 expires 2000",
        "link set dev eth0 mtu 1400",
    )
    lan.node.run("sh -c 'for d in all eth0; do echo 1 >/proc/sys/net/ipv4/conf/$d/rp_filter; done'")


def busy_bridge(lan: Lan) -> None:
    """The bridge is there already, with the port of a pod, as the first ADD makes it."""
    lan.node.ip(
        "link add mybr0 address 02:00:00:00:00:99 type bridge stp_state 0 forward_delay 0",
        "link set dev mybr0 up",
        "link add veth0123abcd type veth peer name other",
        "link set dev veth0123abcd master mybr0",
        "link set dev veth0123abcd up",
        "link set dev other up",
    )


KINDS: dict[str, Setup] = {"plain": plain, "crowded": crowded, "bridge-there": busy_bridge}


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(serve=False) as made:
        settled(made)
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_again_loses_nothing_and_leaves_everything_as_it_was(lan: Lan, kind: str) -> None:
    KINDS[kind](lan)
    settled(lan)
    before = everything(lan)
    with Probe(lan) as probe, Stream(lan) as stream:
        uplink(lan, "migrate --confirm-within 20")
        assert uplink(lan, "status")["state"] == "waiting"
        assert uplink(lan, "confirm")["state"] == "confirmed"
        moved = everything(lan)
        assert uplink(lan, "rollback")["state"] == "rolled-back"
    same(before, lan)
    # The kernel itself drops what arrives in the 15 µs in which it switches the NIC's receive handler.
    assert probe.sent > 100
    assert probe.lost <= 1, f"longest gap {probe.longest_gap_ms} ms"
    assert stream.echoed > 10
    assert moved["addresses"]["eth0"] == []
    assert moved["links"]["eth0"]["master"] == "mybr0"
    assert moved["links"]["mybr0"]["address"] == moved["links"]["eth0"]["address"]
    own = before["addresses"].get("mybr0", [])
    on_bridge = [{**a, "label": None} for a in moved["addresses"]["mybr0"] if a not in own]
    assert on_bridge == [{**a, "label": None} for a in before["addresses"]["eth0"]]
    on_nic = [route.replace("dev mybr0", "dev eth0") for route in moved["routes"]]
    assert _telling(on_nic) == _telling(before["routes"])


def _telling(routes: list[str]) -> list[str]:
    """Without what every interface has (multicast, link-local)."""
    return sorted(
        r for r in routes if not any(word in r for word in ("multicast", "anycast", "fe80::", " lo "))
    )


STEPS = 9


@pytest.mark.parametrize("step", range(-1, STEPS))
@pytest.mark.parametrize("who", ["rollback", "guard"])
def test_killed_after_any_step_everything_comes_back(lan: Lan, step: int, who: str) -> None:
    crowded(lan)
    settled(lan)
    before = everything(lan)
    assert len(uplink(lan, "plan")["steps"]) == STEPS
    said = uplink(lan, "migrate --confirm-within 20", crash_after=step, check=False)
    assert said == {}, "the process was killed"
    if who == "rollback":
        uplink(lan, "rollback")
    until(lambda: uplink(lan, "status")["state"] == "rolled-back", what="everything is rolled back")
    same(before, lan)
    lan.host.run("ping -c 1 -W 1 172.16.91.10")


def test_without_a_confirmation_the_guard_goes_back_by_itself(lan: Lan) -> None:
    before = everything(lan)
    uplink(lan, "migrate --confirm-within 0.5")
    until(lambda: uplink(lan, "status")["state"] == "rolled-back", what="the guard went back")
    same(before, lan)
    assert uplink(lan, "confirm", check=False)["code"] == 11


@pytest.mark.parametrize("who", ["rollback", "guard"])
def test_a_disk_that_takes_nothing_any_more_keeps_nobody_from_going_back(lan: Lan, who: str) -> None:
    """What could not be written down is said; when it can be, the next rollback finds nothing else to do."""
    lan.node.run(f"sh -c 'mkdir {STATE}; mount -t tmpfs state {STATE}'")
    before = everything(lan)
    uplink(lan, f"migrate --confirm-within {1 if who == 'guard' else 60}")
    lan.node.run(f"mount -o remount,ro {STATE}")
    if who == "rollback":
        said = uplink(lan, "rollback", check=False)
        assert said["code"] == 5
        assert "as it was before, but that could not be written down" in said["msg"]
    until(lambda: everything(lan)["links"] == before["links"], what="the uplink is as it was")
    same(before, lan)
    lan.node.run(f"mount -o remount,rw {STATE}")
    assert uplink(lan, "rollback")["state"] == "rolled-back"
    same(before, lan)


def test_the_guard_is_deaf_to_everything_but_a_decision(lan: Lan) -> None:
    before = everything(lan)
    uplink(lan, "migrate --confirm-within 1.5")
    guard = lan.node.run("pgrep -f brdhcp.uplink.guard").stdout.split()[0]
    for signal in ("TERM", "HUP", "INT"):
        lan.node.run(f"kill -{signal} {guard}")
    assert uplink(lan, "status")["state"] == "waiting"
    until(lambda: uplink(lan, "status")["state"] == "rolled-back", what="the guard went back")
    same(before, lan)


def test_a_migration_that_does_not_come_true_is_brought_back_at_once(lan: Lan) -> None:
    """The gateway answers before and not after: a switch port that allows one MAC only, or a filter on the bridge."""
    lan.node.run("nft add table bridge t")
    lan.node.run("nft add chain bridge t c '{ type filter hook prerouting priority 0; policy accept; }'")
    lan.node.run("nft add rule bridge t c ether type arp arp saddr ip 172.16.91.2 drop")
    lan.node.run("ping -c 1 -W 1 172.16.91.2")
    before = everything(lan)
    said = uplink(lan, "migrate", check=False)
    assert "172.16.91.2" in said["msg"]
    assert uplink(lan, "status")["state"] == "rolled-back"
    same(before, lan)


def test_what_cannot_be_undone_is_refused_with_every_reason_and_nothing_is_touched(lan: Lan) -> None:
    lan.node.ip(
        "link add mybr0 type bridge",
        "link add eth9 type veth peer name eth8",
        "link set dev eth9 master mybr0",
        "link add mv0 link eth0 type macvlan",
    )
    before = everything(lan)
    said = uplink(lan, "migrate", check=False)
    assert said["code"] == 7
    for reason in ("mv0 stands on eth0", "ports that are no pods': eth9", "spanning tree or a forward delay"):
        assert reason in said["msg"]
    same(before, lan)
    for words, reason in (
        ("plan --nic eth7", "there is no interface eth7"),
        ("plan --nic lo --bridge br1", "loopback"),
        ("plan --nic mybr0 --bridge mybr0", "the bridge itself"),
        ("plan --nic eth9 --bridge br1", "port of mybr0 already"),
    ):
        assert reason in uplink(lan, words, check=False)["msg"]


def test_a_bridge_with_the_gateways_stolen_address_is_refused_and_the_cure_is_said(lan: Lan) -> None:
    lan.node.ip("link add mybr0 type bridge forward_delay 0", "addr add 172.16.91.2/24 dev mybr0")
    said = uplink(lan, "plan", check=False)
    assert "ip addr del 172.16.91.2/24 dev mybr0" in said["msg"]


def test_a_second_migration_waits_for_the_first_to_be_decided(lan: Lan) -> None:
    uplink(lan, "migrate --confirm-within 20")
    said = uplink(lan, "migrate --nic mybr0 --bridge br1", check=False)
    assert "another migration is open" in said["msg"]
    uplink(lan, "rollback")


def test_rolling_back_twice_is_the_same_as_once_and_with_nothing_there_is_an_answer(lan: Lan) -> None:
    assert uplink(lan, "rollback", check=False)["code"] == 11
    uplink(lan, "migrate --confirm-within 20")
    assert uplink(lan, "rollback") == uplink(lan, "rollback")


def test_the_plan_changes_nothing_and_says_every_command_and_its_undoing(lan: Lan) -> None:
    before = everything(lan)
    steps = uplink(lan, "plan")["steps"]
    same(before, lan)
    commands = [command for step in steps for command in step["do"]]
    assert "ip link set dev eth0 master mybr0" in commands
    assert any(command.startswith("ip addr add 172.16.91.10/24 dev mybr0") for command in commands)
    assert all(step["undo"] for step in steps if "master" in json.dumps(step["do"]))


def test_ipv6_keeps_working_and_the_routers_announcements_reach_the_bridge(lan: Lan) -> None:
    lan.router.ip("addr add fd91::2/64 dev eth0 nodad")
    lan.start_dnsmasq(
        120,
        (
            "--enable-ra",
            "--dhcp-range=172.16.91.128,172.16.91.253,120",
            "--dhcp-range=fd91::,ra-only,64,600",
            "--ra-param=eth0,2,600",
        ),
    )
    until(
        lambda: "default" in lan.node.run("ip -6 route").stdout, within=15, what="a router announced itself"
    )
    settled(lan)
    before = everything(lan)
    address = next(a["local"] for a in before["addresses"]["eth0"] if a.get("local", "").startswith("fd91:"))
    lan.host.ip("addr add fd91::1/64 dev eth0 nodad")
    with Probe(lan, address) as probe:
        uplink(lan, "migrate --confirm-within 20")
        assert "default via fe80" in lan.node.run("ip -6 route show dev mybr0").stdout
        assert lan.node.run("sysctl -n net.ipv6.conf.mybr0.accept_ra").stdout == "1\n"
        uplink(lan, "rollback")
    assert probe.sent > 50
    assert probe.lost <= 1, f"longest gap {probe.longest_gap_ms} ms"
    same(before, lan)


def test_after_a_reboot_an_unconfirmed_migration_is_over(lan: Lan) -> None:
    uplink(lan, "migrate --confirm-within 20")
    lan.node.run("pkill -KILL -f brdhcp.uplink.guard")
    lan.node.run(
        "sh -c 'echo another-boot >/run/boot_id; mount --bind /run/boot_id /proc/sys/kernel/random/boot_id'"
    )
    assert "never confirmed" in uplink(lan, "boot-guard")["said"]
    assert uplink(lan, "status")["state"] == "none"


def test_a_card_that_got_another_name_is_found_by_its_mac_and_comes_back_under_its_own(lan: Lan) -> None:
    before = everything(lan)
    uplink(lan, "migrate --confirm-within 60")
    uplink(lan, "confirm")
    lan.node.ip("link set dev eth0 down", "link set dev eth0 name lan0", "link set dev lan0 up")
    assert uplink(lan, "rollback")["state"] == "rolled-back"
    same(before, lan)
    lan.host.run("ping -c 1 -W 1 172.16.91.10")
