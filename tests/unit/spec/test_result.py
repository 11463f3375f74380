"""The result of ADD in the words of every CNI version, against files that show them in full."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest
from brdhcp.errors import IncompatibleVersion, InvalidConfiguration
from brdhcp.spec.result import Dns, Interface, IPConfig, Result, Route
from brdhcp.spec.versions import SUPPORTED, at_least

FULL = Result(
    interfaces=(
        Interface(name="mybr0", mac="02:00:5e:00:00:10"),
        Interface(name="veth1f2e3d4c", mac="fe:11:22:33:44:55"),
        Interface(name="eth0", mac="02:00:00:00:00:05", sandbox="/run/netns/pod", mtu=1400),
    ),
    ips=(
        IPConfig(address=ip_interface("172.16.91.131/24"), gateway=ip_address("172.16.91.2"), interface=2),
        IPConfig(address=ip_interface("2001:db8::5/64"), interface=2),
    ),
    routes=(
        Route(dst=ip_network("0.0.0.0/0"), gw=ip_address("172.16.91.2"), priority=100),
        Route(
            dst=ip_network("10.96.0.0/12"),
            gw=ip_address("172.16.91.10"),
            mtu=1400,
            advmss=1360,
            table=7,
            scope=0,
        ),
        Route(dst=ip_network("192.0.2.0/24")),
        Route(dst=ip_network("::/0"), gw=ip_address("fe80::1")),
    ),
    dns=Dns(nameservers=("172.16.91.2",), domain="lan", search=("lan", "example.org"), options=("ndots:2",)),
)


def golden(version: str) -> dict[str, Any]:
    text = (Path(__file__).parent / "golden" / f"{version}.json").read_text()
    data: dict[str, Any] = json.loads(text)
    return data


def what_survives(version: str) -> Result:
    """FULL as far as ``version`` can say it."""
    if at_least(version, "1.1.0"):
        return FULL
    routes = tuple(Route(dst=route.dst, gw=route.gw) for route in FULL.routes)
    if at_least(version, "0.3.0"):
        interfaces = tuple(replace(interface, mtu=None) for interface in FULL.interfaces)
        return replace(FULL, interfaces=interfaces, routes=routes)
    return replace(
        FULL, interfaces=(), ips=tuple(replace(ip, interface=None) for ip in FULL.ips), routes=routes
    )


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_result_is_written_as_its_version_says(version: str) -> None:
    assert FULL.as_json(version) == golden(version)


@pytest.mark.parametrize("version", SUPPORTED)
def test_a_result_of_every_version_is_read_without_loss(version: str) -> None:
    assert Result.from_json(golden(version)) == what_survives(version)


@pytest.mark.parametrize("version", SUPPORTED)
def test_an_empty_result_says_nothing_but_its_version(version: str) -> None:
    assert Result().as_json(version) == {"cniVersion": version}


def test_a_version_that_is_not_spoken_is_refused_both_ways() -> None:
    with pytest.raises(IncompatibleVersion, match=r'"2\.0\.0"'):
        FULL.as_json("2.0.0")
    with pytest.raises(IncompatibleVersion, match=r'"2\.0\.0"'):
        Result.from_json({"cniVersion": "2.0.0"})


def test_every_fault_of_a_result_is_named_with_its_place() -> None:
    broken = {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0"}],
        "ips": [{"address": "172.16.91.131"}, {"address": "172.16.91.132/24", "interface": 4}, {}],
        "routes": [{"dst": "nowhere"}, {"dst": "0.0.0.0/0", "gw": "the router"}, {"gw": "172.16.91.2"}],
    }
    with pytest.raises(InvalidConfiguration) as error:
        Result.from_json(broken, "prevResult")
    assert error.value.msg.split("; ") == [
        'prevResult.ips[0].address "172.16.91.131" has no prefix length, as 172.16.91.131/24 has',
        "prevResult.ips[1].interface is 4, there are 1 interfaces",
        "prevResult.ips[2].address is missing",
        'prevResult.routes[0].dst "nowhere" is not an address with prefix length, as 172.16.91.131/24',
        'prevResult.routes[1].gw "the router" is not an IP address',
        "prevResult.routes[2].dst is missing",
    ]


def test_keys_of_other_plugins_in_a_result_are_left_alone() -> None:
    data = golden("1.1.0") | {"x-vendor": {"a": 1}}
    assert Result.from_json(data) == FULL
