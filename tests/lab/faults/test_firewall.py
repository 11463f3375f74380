"""Bridged frames pass iptables, as Kubernetes wants it, where the FORWARD policy is DROP, as Docker may leave it."""

from __future__ import annotations

from tests.lab.agent.rig import NOTE, ROOT, Rig

UNIT = ROOT / "provision/centos7/brdhcp-forward.service"
POLICY = "-P FORWARD DROP"
RULE = "-A FORWARD -m physdev --physdev-is-bridged -j ACCEPT"


def unit(node: Rig, key: str) -> None:
    """Run that line of the unit by which the centos7 guest lets bridged frames pass."""
    lines = (line.partition("=") for line in UNIT.read_text().splitlines())
    node.lan.node.run(next(value for name, _, value in lines if name == key))


def rules(node: Rig) -> list[str]:
    return node.lan.node.run("iptables -S FORWARD").stdout.splitlines()


def test_a_policy_of_drop_eats_dhcp_and_is_named_and_the_guests_rule_lets_pods_live(node: Rig) -> None:
    node.lan.node.run("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
    node.lan.node.run("iptables -P FORWARD DROP")
    node.pod("pod1")
    refused = node.cni("ADD", "pod1", {**NOTE, "acquireTimeout": 2})
    assert refused.status
    assert refused.json["code"] == 11
    assert "a FORWARD policy of DROP eats them" in refused.json["details"]
    unit(node, "ExecStart")
    unit(node, "ExecStart")
    assert rules(node) == [POLICY, RULE]
    added = node.cni("ADD", "pod1", NOTE)
    assert not added.status, added.stdout
    node.lan.host.run(f"ping -c 1 -W 5 {added.address}")
    assert not node.cni("DEL", "pod1").status
    node.nothing_left()
    unit(node, "ExecStop")
    assert rules(node) == [POLICY]
