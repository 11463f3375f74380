"""What a virtual machine runs to make and to undo a symptom, on a node of the lab; and listening there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from envctl.errors import EnvctlError
from envctl.providers.lab import Lab
from envctl.providers.vagrant_scene import BRIDGE, RESCUE, SCRIPT
from envctl.tcpdump import Dump
from tests.lab.envctl_lab.labs import a_lab
from tests.lab.lan import until

FOLDER = "/run/scene"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with a_lab(nodes={"workers": 0}) as made:
        node = made.machine("master")
        node.put(f"{FOLDER}/scene.sh", SCRIPT.read_bytes(), 0o755)
        node.put(f"{FOLDER}/rp_filter", b"all 0\ndefault 0\neth0 0\n")
        yield made


def scene(lab: Lab, verb: str) -> None:
    """Run the script on the master."""
    words = f"{FOLDER}/scene.sh", verb, "eth0", BRIDGE, RESCUE, FOLDER
    lab.machine("master").run("sh %s %s %s %s %s %s", *words)


def network(lab: Lab) -> Any:
    """Links, addresses and routes of the master, and how it filters."""
    node = lab.machine("master")
    links = {
        link["ifname"]: (link.get("master"), link["address"], {entry["local"] for entry in link["addr_info"]})
        for link in node.run("ip -j addr").json()
    }
    filters = node.run("cd /proc/sys/net/ipv4/conf && head -n 1 */rp_filter").stdout
    return links, node.run("ip route").stdout, filters


def answers(lab: Lab, address: str) -> bool:
    return not lab.host().run("ping -n -c 1 -W 0.3 %s", address, check=False).exit_status


def test_the_symptom_takes_the_address_off_the_lan_and_leaves_the_way_in(lab: Lab) -> None:
    before = network(lab)
    scene(lab, "enslave")
    node = lab.machine("master")
    node.run("sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1")
    assert not answers(lab, node.address)
    until(lambda: answers(lab, f"{RESCUE}%eth0"), what="the way in")
    scene(lab, "undo")
    until(lambda: answers(lab, node.address), what="the node answering again")
    assert network(lab) == before


def test_undoing_what_is_undone_changes_nothing_and_takes_pods_and_daemon_along(lab: Lab) -> None:
    before, node = network(lab), lab.machine("master")
    scene(lab, "undo")
    assert network(lab) == before
    node.run("ip netns add scene-web")
    node.spawn("/usr/lib/cni/dhcp daemon", log="/run/cni/dhcp.log")
    until(lambda: node.outside("/run/cni/dhcp.sock").exists(), what="the daemon listens")
    scene(lab, "undo")
    assert "scene-web" not in node.run("ip netns list").stdout
    until(lambda: node.run("pgrep -x dhcp", check=False).exit_status, what="the end of the daemon")
    assert network(lab) == before


def test_a_tcpdump_ends_with_its_standard_input_and_leaves_nothing(lab: Lab) -> None:
    node = lab.machine("master")
    dump = Dump(node, ["tcpdump", "-n", "-l", "--immediate-mode", "-i", "eth0", "icmp"])
    dump.wait_until_it_listens()
    assert node.run("pgrep -x tcpdump", check=False).stdout
    until(lambda: answers(lab, node.address), what="an answer to be seen")
    assert b"echo request" in dump.read() + b"".join(dump.end())
    assert not node.run("pgrep -x tcpdump", check=False).stdout


def test_a_tcpdump_that_cannot_listen_says_why(lab: Lab) -> None:
    dump = Dump(lab.machine("master"), ["tcpdump", "-i", "nosuch0"])
    with pytest.raises(EnvctlError, match="nosuch0"):
        dump.wait_until_it_listens()
