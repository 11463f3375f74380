"""The lab's network as data."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from envctl.config import Config
from envctl.providers import lab_network


def config(**values: Any) -> Config:
    return Config.model_validate(values)


def machine(name: str, of: Config) -> lab_network.Machine:
    return next(machine for machine in lab_network.machines(of) if machine.name == name)


def test_the_default_lab_has_the_machines_of_the_documentation() -> None:
    assert [(one.name, one.address) for one in lab_network.machines(config())] == [
        ("switch", ""),
        ("router", "172.16.91.2"),
        ("host", "172.16.91.1"),
        ("master", "172.16.91.10"),
        ("worker1", "172.16.91.11"),
        ("internet", "203.0.113.10"),
    ]


def test_a_mac_is_local_unicast_and_made_from_the_address() -> None:
    assert lab_network.mac(IPv4Address("172.16.91.10")) == "02:00:ac:10:5b:0a"


def test_machine_and_port_names_fit_the_kernel_with_the_most_workers() -> None:
    for one in lab_network.machines(config(nodes={"workers": 20})):
        assert "-" not in one.name
        assert len(one.port) <= 15


def test_the_server_identifies_itself_by_the_routers_first_address() -> None:
    lines = lab_network.address_lines(config(), machine("router", config()))
    given = [line.split()[2] for line in lines if line.startswith("addr replace")]
    assert given[:2] == ["172.16.91.254/24", "172.16.91.2/24"]


def test_a_static_node_gets_address_and_default_route_on_its_nic() -> None:
    other = config(uplink={"interface": "ens3"})
    assert lab_network.address_lines(other, machine("master", other)) == [
        "link set dev ens3 up",
        "addr replace 172.16.91.10/24 brd + dev ens3",
        "route replace default via 172.16.91.2 dev ens3",
    ]


def test_a_node_with_dhcp_gets_only_a_link_and_a_reservation() -> None:
    dynamic = config(uplink={"address": "dhcp"})
    assert lab_network.address_lines(dynamic, machine("worker1", dynamic)) == ["link set dev eth0 up"]
    assert "--dhcp-host=02:00:ac:10:5b:0b,172.16.91.11,worker1" in lab_network.dnsmasq(dynamic)
    assert not any(option.startswith("--dhcp-host=") for option in lab_network.dnsmasq(config()))
    assert lab_network.dhclient(machine("master", dynamic))[-1] == "eth0"


def test_range_and_lease_time_are_the_configurations() -> None:
    argv = lab_network.dnsmasq(config(network={"dhcp": {"lease_s": 120}}))
    assert "--dhcp-range=172.16.91.128,172.16.91.253,255.255.255.0,120" in argv
    assert "--enable-ra" not in argv


def test_a_prefix_is_announced_and_the_router_is_its_second_address() -> None:
    six = config(network={"ipv6": "fd16:91::/64"})
    assert "--dhcp-range=fd16:91::,ra-only,64,3600" in lab_network.dnsmasq(six)
    assert "addr replace fd16:91::2/64 dev eth0 nodad" in lab_network.address_lines(
        six, machine("router", six)
    )


@pytest.mark.parametrize("name", ["host", "master"])
def test_a_machine_asks_the_router_for_names(name: str) -> None:
    files = {str(path): text for path, text in lab_network.files(config(), machine(name, config())).items()}
    assert files["etc/resolv.conf"] == "search lab.test\nnameserver 172.16.91.2\n"
    assert files["etc/hostname"] == f"{name}\n"
