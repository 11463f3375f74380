"""Who dhclient says it is, from its command line, its configuration and its lease file."""

from __future__ import annotations

import pytest
from brdhcp.uplink.identity import client_id, host_name, unquoted

MAC = "02:00:5e:00:00:10"
LEASES = r'default-duid "\000\001\000\0012\227\206P\002\000^\000\000\020";' + "\nlease {\n}\n"


def test_with_i_it_is_the_last_four_octets_of_the_mac_and_the_duid() -> None:
    """As dnsmasq wrote it down for exactly this lease file."""
    said = client_id(("dhclient", "-4", "-i", "eth0"), "", LEASES, MAC)
    assert said.hex(":") == "ff:5e:00:00:10:00:01:00:01:32:97:86:50:02:00:5e:00:00:10"


@pytest.mark.parametrize(
    ("configuration", "said"),
    [
        ("", ""),
        ("# send dhcp-client-identifier hardware;", ""),
        ("send dhcp-client-identifier = hardware;", "0102005e000010"),
        ("send dhcp-client-identifier 1:2:0:5e:0:0:10;", "0102005e000010"),
        ('send dhcp-client-identifier "node-1";', b"node-1".hex()),
        ('send host-name "a"; \nsend  dhcp-client-identifier\n "b";', b"b".hex()),
        ("send dhcp-client-identifier = concat(hardware, 1);", ""),
    ],
)
def test_otherwise_it_is_what_the_configuration_sends(configuration: str, said: str) -> None:
    assert client_id(("dhclient", "eth0"), configuration, LEASES, MAC).hex() == said


@pytest.mark.parametrize(
    ("argv", "configuration", "said"),
    [
        (("dhclient", "eth0"), "", ""),
        (("dhclient", "eth0"), "send host-name = gethostname();", "master"),
        (("dhclient", "eth0"), 'send host-name "node-7";', "node-7"),
        (("dhclient", "-H", "other", "eth0"), "send host-name = gethostname();", "other"),
    ],
)
def test_the_host_name_is_the_one_that_the_server_knows(
    argv: tuple[str, ...], configuration: str, said: str
) -> None:
    assert host_name(argv, configuration, "master") == said


def test_strings_are_read_as_dhclient_writes_them() -> None:
    assert unquoted(r"a\"b\\c\001\377") == b'a"b\\c\x01\xff'
