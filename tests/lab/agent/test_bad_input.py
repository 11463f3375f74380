"""What a runtime, a person or a LAN can get wrong: a clear error with its code, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.agent.rig import NOTE, Rig, rig

NOW = {**NOTE, "cniVersion": "1.1.0"}


@pytest.fixture(scope="module")
def here() -> Iterator[Rig]:
    """One node for all of these: each must leave it as it was."""
    with rig() as made:
        made.start()
        made.pod("web")
        yield made


@pytest.mark.parametrize(
    ("stdin", "code", "words"),
    [
        ("{", 6, "JSON"),
        ("[]", 6, "object"),
        ('{"cniVersion": "9.9.9", "name": "n", "type": "brdhcp"}', 1, "9.9.9"),
        (json.dumps({**NOW, "vlann": 7}), 2, "vlan"),
        (json.dumps({**NOW, "isGateway": True}), 2, "gateway"),
        (json.dumps({**NOW, "hairpinMode": True, "promiscMode": True}), 7, "exclude each other"),
        (json.dumps({**NOW, "bridge": "a-name-that-is-too-long"}), 7, "at most 15"),
        (json.dumps({**NOW, "bridge": "eth0"}), 7, "brdhcpctl uplink"),
        (json.dumps({**NOW, "mtu": 9000}), 7, "1500"),
        (json.dumps({**NOW, "serviceCIDR": "10.96.0.0"}), 7, "prefix length"),
        (json.dumps({**NOW, "ipam": {"type": "nowhere"}}), 7, "CNI_PATH"),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(here: Rig, stdin: str, code: int, words: str) -> None:
    answer = here.cni("ADD", "web", stdin)
    assert (answer.status, answer.json["code"]) == (1, code), answer.stdout
    assert words in answer.json["msg"] + answer.json.get("details", "")
    here.nothing_left()


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"CNI_NETNS": ""}, 4, "CNI_NETNS is missing"),
        ({"CNI_CONTAINERID": "", "CNI_NETNS": ""}, 4, "CNI_CONTAINERID is missing; CNI_NETNS is missing"),
        ({"CNI_IFNAME": "a/b"}, 4, "CNI_IFNAME"),
        ({"CNI_IFNAME": "sixteen-letters-x"}, 4, "at most 15"),
        ({"CNI_NETNS": "/run/netns/nobody"}, 8, "/run/netns/nobody"),
        ({"CNI_NETNS": "/proc/1/ns/net"}, 8, "the node's own namespace"),
        ({"CNI_NETNS": "/etc/hostname"}, 8, "/etc/hostname"),
        ({"CNI_IFNAME": "lo"}, 4, "CNI_IFNAME lo is taken"),
        ({"CNI_ARGS": "NOPE=1"}, 4, "NOPE"),
        ({"CNI_ARGS": "MAC=01:00:00:00:00:01"}, 7, "multicast"),
    ],
)
def test_a_wrong_variable_is_named(here: Rig, variables: dict[str, Any], code: int, words: str) -> None:
    answer = here.cni("ADD", "web", NOW, **variables)
    assert (answer.status, answer.json["code"]) == (1, code), answer.stdout
    assert words in answer.json["msg"] + answer.json.get("details", "")
    here.nothing_left()


def test_del_before_add_succeeds_and_check_before_add_says_unknown(here: Rig) -> None:
    assert here.cni("DEL", "web", NOW).stdout == ""
    result = {"cniVersion": "1.1.0", "interfaces": [], "ips": []}
    answer = here.cni("CHECK", "web", {**NOW, "prevResult": result})
    assert (answer.status, answer.json["code"]) == (1, 3)


def test_a_container_that_is_added_twice_keeps_its_first_interface(here: Rig) -> None:
    first = here.cni("ADD", "web", NOW)
    again = here.cni("ADD", "web", NOW)
    assert (again.status, again.json["code"]) == (1, 4)
    assert here.cni("CHECK", "web", {**NOW, "prevResult": first.json}).status == 0
    here.cni("DEL", "web", NOW)
    here.nothing_left()


def test_verbs_that_a_version_does_not_have_are_refused(here: Rig) -> None:
    for verb, version in (("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0")):
        answer = here.cni(verb, "web" if verb == "CHECK" else "", {**NOTE, "cniVersion": version})
        assert (answer.status, answer.json["code"]) == (1, 1), answer.stdout


def chained(node: Rig, plugins: list[dict[str, Any]], verb: str) -> dict[str, Any]:
    """What a runtime does with a list: each plugin gets what the one before it said; DEL goes backwards."""
    result: dict[str, Any] = {}
    for plugin in plugins if verb == "ADD" else reversed(plugins):
        conf = {"cniVersion": "1.0.0", "name": "chain", **plugin}
        if result or verb == "DEL":
            conf["prevResult"] = result or plugin.get("prevResult")
        conf = {key: value for key, value in conf.items() if value is not None}
        ours = {"shim": Path("/usr/lib/cni") / plugin["type"]} if plugin["type"] != "brdhcp" else {}
        answer = node.cni(verb, "web", conf, **ours)
        assert answer.status == 0, answer.stdout
        result = answer.json if answer.stdout else {}
    return result


def test_the_reference_plugins_can_be_chained_behind_it(here: Rig) -> None:
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    rates = {
        "ingressRate": 8_000_000,
        "ingressBurst": 1_000_000,
        "egressRate": 8_000_000,
        "egressBurst": 1_000_000,
    }
    plugins: list[dict[str, Any]] = [
        {"type": "brdhcp", "bridge": "mybr0", "ipam": {"type": "dhcp"}},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.eth0.arp_notify": "1"}},
        {"type": "portmap", "capabilities": {"portMappings": True}, "runtimeConfig": {"portMappings": ports}},
        {"type": "bandwidth", **rates},
        {"type": "firewall"},
    ]
    result = chained(here, plugins, "ADD")
    address = result["ips"][0]["address"].partition("/")[0]
    assert list(here.lan.server_leases().values()) == [address]
    assert here.lan.node.run("ip netns exec web sysctl -n net.ipv4.conf.eth0.arp_notify").stdout == "1\n"
    assert f"{address}:80" in here.lan.node.run("iptables-save -t nat").stdout
    for plugin in plugins:
        plugin["prevResult"] = result
    chained(here, plugins, "DEL")
    here.nothing_left()
