"""The network configuration: what each key becomes, and every fault of a bad one in a single message."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from brdhcp.errors import (
    IncompatibleVersion,
    InvalidConfiguration,
    InvalidEnvironment,
    Undecodable,
    UnsupportedField,
)
from brdhcp.spec.environment import Request
from brdhcp.spec.ipam import ProvideOption, RequestOption
from brdhcp.spec.netconf import Bridge, NetConf, ValidAttachment

NOTE = {
    "cniVersion": "0.3.1",
    "name": "mycninet",
    "type": "brdhcp",
    "bridge": "mybr0",
    "ipam": {"type": "dhcp"},
}


def request(command: str = "ADD", args: str = "", role: str = "main") -> Request:
    env = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/pod",
        "CNI_IFNAME": "eth0",
    }
    return Request.from_environment(env | {"CNI_ARGS": args, "BRDHCP_ROLE": role})


def parse(command: str = "ADD", args: Any = "", role: Any = "main", **changes: Any) -> NetConf:
    data = {key: value for key, value in (NOTE | changes).items() if value != "-"}
    return NetConf.parse(json.dumps(data).encode(), request(command, args, role))


def faults(kind: Any = InvalidConfiguration, **changes: Any) -> list[str]:
    with pytest.raises(kind) as error:
        parse(**changes)
    assert type(error.value) is kind
    message: str = error.value.msg
    return message.split("; ")


def test_the_configuration_of_the_note_is_taken_as_it_is() -> None:
    netconf = parse()
    assert (netconf.cni_version, netconf.name, netconf.bridge.name) == ("0.3.1", "mycninet", "mybr0")
    assert netconf.dhcp is not None
    assert (netconf.dhcp.client_id, netconf.dhcp.probe, netconf.dhcp.acquire_timeout) == (
        "container",
        "fast",
        10.0,
    )
    assert (netconf.delegated, netconf.service_cidr, netconf.mac) == ("", (), None)


def test_every_key_of_the_reference_bridge_has_its_place() -> None:
    netconf = parse(
        bridge="br9",
        ipMasq=True,
        ipMasqBackend="nftables",
        mtu=1400,
        hairpinMode=True,
        vlanTrunk=[{"id": 5}, {"minID": 10, "maxID": 12}],
        preserveDefaultVlan=False,
        macspoofchk=True,
        enabledad=True,
        portIsolation=True,
        forceAddress=True,
        dhcpGuard=True,
        raGuard=True,
    )
    assert netconf.bridge == Bridge(
        name="br9",
        ip_masq=True,
        mtu=1400,
        hairpin_mode=True,
        vlan_trunk=((5, 5), (10, 12)),
        preserve_default_vlan=False,
        mac_spoof_check=True,
        enable_dad=True,
        port_isolation=True,
        force_address=True,
        dhcp_guard=True,
        ra_guard=True,
    )
    assert parse(spoofGuard=True).bridge.spoof_guard
    assert parse(bridge="-").bridge.name == "cni0"


def test_the_dhcp_keys_of_the_reference_and_of_ours_are_read() -> None:
    netconf = parse(
        args="IgnoreUnknown=1;K8S_POD_NAME=web-0;TENANT=blue",
        serviceCIDR="10.96.0.0/12",
        probe="rfc5227",
        warmLeases=0,
        trustedServers=["172.16.91.254"],
        acquireTimeout=3.5,
        clientId="mac",
        ipam={
            "type": "dhcp",
            "daemonSocketPath": "/run/other.sock",
            "priority": 200,
            "request": [{"skipDefault": True}, {"option": "routers"}, {"option": "119"}],
            "provide": [
                {"option": "user-class", "value": "pods"},
                {"option": 224, "fromArg": "TENANT"},
                {"option": "host-name", "fromArg": "ABSENT"},
                {"option": "12", "fromArg": "ABSENT", "value": "spare"},
            ],
        },
    )
    dhcp = netconf.dhcp
    assert dhcp is not None
    assert netconf.service_cidr == (IPv4Network("10.96.0.0/12"),)
    assert (dhcp.probe, dhcp.acquire_timeout, dhcp.client_id) == ("rfc5227", 3.5, "mac")
    assert dhcp.trusted_servers == (IPv4Address("172.16.91.254"),)
    assert (dhcp.priority, dhcp.hostname) == (200, "web-0")
    assert netconf.ipam is not None
    assert netconf.ipam.daemon_socket_path == "/run/other.sock"
    assert dhcp.request == (
        RequestOption(option=None, skip_default=True),
        RequestOption(option=3),
        RequestOption(option=119),
    )
    assert dhcp.provide == (
        ProvideOption(option=77, value="pods"),
        ProvideOption(option=224, value="blue"),
        ProvideOption(option=12, value="spare"),
    )


def test_gateway_with_dhcp_is_refused_with_the_reason() -> None:
    for key in ("isGateway", "isDefaultGateway"):
        message = "; ".join(faults(UnsupportedField, **{key: True}))
        assert message.startswith(
            f"{key} with ipam.type dhcp would put the LAN gateway's own address on this node"
        )


def test_gateway_with_another_ipam_is_taken_and_default_gateway_implies_it() -> None:
    netconf = parse(isDefaultGateway=True, ipam={"type": "host-local", "subnet": "10.0.0.0/24"})
    assert (netconf.bridge.is_gateway, netconf.bridge.is_default_gateway) == (True, True)
    assert (netconf.delegated, netconf.dhcp) == ("host-local", None)


def test_unknown_keys_are_refused_by_name_with_the_nearest_known_one() -> None:
    assert faults(
        UnsupportedField, brige="x", hairpinmode=True, whatever=1, ipam={"type": "dhcp", "reqest": []}
    ) == [
        'ipam.reqest is not a key of brdhcp: did you mean "request"?',
        'brige is not a key of brdhcp: did you mean "bridge"?',
        'hairpinmode is not a key of brdhcp: did you mean "hairpinMode"?',
        "whatever is not a key of brdhcp",
    ]


STARTS = [
    'name "my net" must start',
    'bridge "a bridge that is too long" is 25 bytes long',
    'mtu must be a whole number, not "big"',
    'promiscMode must be true or false, not "yes"',
    "vlan is 4095, must be from 0 to 4094",
    "vlanTrunk[0].maxID is missing",
    "vlanTrunk[1].minID 9 is above maxID 3",
    "vlanTrunk[2].id is missing",
    'ipam.daemonSocketPath "dhcp.sock" is not an absolute path',
    "ipam.provide[0].option is missing",
    "ipam.provide[2].value is 256 bytes long",
    "ipam.provide[3].value is missing (or fromArg)",
    "acquireTimeout is 0, must be from 0.1 to 110",
    "ipam.request[0].option is missing",
    'ipam.request[1].option is "colour", must be a number',
    'probe "slow" is not one of none, fast, rfc5227',
    'trustedServers[0] "router" is not an IPv4 address',
    "trustedServers[1] must be a string, not the number 5",
    'serviceCIDR[0] "10.96.0.1/12" is not an IPv4 network',
    'serviceCIDR[1] "10.0.0.0" has no prefix length',
    "vlanTrunk[3].x is not a key of brdhcp",
    "ipam.provide[1].option 53 cannot be provided",
]


def test_every_fault_is_in_one_message() -> None:
    found = faults(
        name="my net",
        bridge="a bridge that is too long",
        mtu="big",
        vlan=4095,
        promiscMode="yes",
        vlanTrunk=[{"minID": 5}, {"minID": 9, "maxID": 3}, {}, {"id": 5, "x": 1}],
        serviceCIDR=["10.96.0.1/12", "10.0.0.0"],
        acquireTimeout=0,
        probe="slow",
        trustedServers=["router", 5],
        ipam={
            "type": "dhcp",
            "daemonSocketPath": "dhcp.sock",
            "request": [{}, {"option": "colour"}],
            "provide": [
                {"value": "x"},
                {"option": 53, "value": "x"},
                {"option": 12, "value": "x" * 256},
                {"option": 12},
            ],
        },
    )
    for start in STARTS:
        assert any(fault.startswith(start) for fault in found), (start, found)
    assert len(found) == len(STARTS)


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"hairpinMode": True, "promiscMode": True}, "hairpinMode and promiscMode exclude each other"),
        ({"vlan": 5, "vlanTrunk": [{"id": 6}]}, "vlan and vlanTrunk exclude each other"),
        ({"disableContainerInterface": True}, "disableContainerInterface and ipam exclude each other"),
        ({"spoofGuard": True, "ipam": {}}, "spoofGuard needs an ipam"),
        ({"spoofGuard": True, "vlanTrunk": [{"id": 5}]}, "spoofGuard and vlanTrunk exclude each other"),
        ({"isGateway": True, "ipam": {}}, "isGateway needs an ipam"),
        ({"mtu": 60}, "mtu is 60, IPv4 needs at least 68"),
        ({"name": "-"}, "name is missing"),
        ({"ipam": {"subnet": "10.0.0.0/8"}}, "ipam.type is missing"),
        ({"ipam": {"type": "../evil"}}, 'ipam.type "../evil" is a path'),
        ({"ipam": "dhcp"}, 'ipam must be an object, not "dhcp"'),
        ({"clientId": ""}, 'clientId "" is empty'),
        ({"clientId": "pod"}, 'clientId "pod" needs K8S_POD_NAME'),
        ({"ipam": {"type": "dhcp", "probe": "none"}, "probe": "none"}, "ipam.probe is also at the top"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: dict[str, Any], start: str) -> None:
    assert any(fault.startswith(start) for fault in faults(**changes))


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"ipMasqBackend": "iptables"}, 'ipMasqBackend "iptables" is not supported'),
        (
            {"capabilities": {"portMappings": True}},
            "capabilities.portMappings is no capability of brdhcp: it is the",
        ),
        ({"probe": "none", "ipam": {"type": "static"}}, "probe has a meaning only with ipam.type dhcp"),
        ({"plugins": []}, "plugins is not a key of brdhcp: that is a configuration list"),
        (
            {"ipam": {"type": "dhcp", "subnet": "x"}},
            "ipam.subnet is not a key of brdhcp: the LAN's DHCP server",
        ),
        ({"isGateway": True, "vlan": 5, "ipam": {"type": "static"}}, "isGateway together with vlan"),
        ({"vlan": 5, "warmLeases": 2}, "warmLeases together with vlan"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_code_2(changes: dict[str, Any], start: str) -> None:
    assert faults(UnsupportedField, **changes)[0].startswith(start)


def test_the_mac_comes_from_the_runtime_then_from_args_then_from_the_environment() -> None:
    runtime, cni, environment = "02:00:00:00:00:0A", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
    everything: dict[str, Any] = {
        "args": f"MAC={environment}",
        "runtimeConfig": {"mac": runtime},
        "capabilities": {"mac": True},
    }
    stdin_args = {"cni": {"mac": cni}, "labels": {"x": "y"}}

    def mac(**data: Any) -> str | None:
        given = NOTE | data
        return NetConf.parse(json.dumps(given).encode(), request(args=f"MAC={environment}")).mac

    assert mac(args=stdin_args, runtimeConfig=everything["runtimeConfig"]) == "02:00:00:00:00:0a"
    assert mac(args=stdin_args) == cni
    assert mac() == environment
    assert parse().mac is None


@pytest.mark.parametrize(
    ("mac", "why"),
    [
        ("02-00-00-00-00-01", "is not a MAC"),
        ("01:00:5e:00:00:01", "multicast"),
        ("00:00:00:00:00:00", "all zeros"),
    ],
)
def test_a_mac_that_no_interface_can_have_is_refused(mac: str, why: str) -> None:
    assert why in faults(runtimeConfig={"mac": mac})[0]
    with pytest.raises(InvalidConfiguration, match="MAC of CNI_ARGS"):
        parse(args=f"MAC={mac}")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"{", "line 1, column 2"),
        (b"[]", "a list"),
        (b"\xff{}", "byte 0 is 0xff"),
        (b'{"name": "a", "name": "b"}', "twice in one object: name"),
        (b'{"ipam": {"type": "dhcp", "type": "static"}}', "twice in one object: type"),
        (b'{"mtu": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_one_json_object_is_undecodable(data: bytes, why: str) -> None:
    with pytest.raises(Undecodable) as error:
        NetConf.parse(data, request())
    assert error.value.code == 6
    assert why in str(error.value)


def test_a_verb_that_its_version_does_not_know_is_refused() -> None:
    with pytest.raises(IncompatibleVersion, match=r"CHECK does not exist in cniVersion 0\.3\.1"):
        parse("CHECK")
    with pytest.raises(IncompatibleVersion, match=r'cniVersion "9\.9\.9" is not supported'):
        parse(cniVersion="9.9.9")


def test_a_configuration_without_version_speaks_the_oldest() -> None:
    assert parse(cniVersion="-").cni_version == "0.1.0"


def test_check_needs_the_result_of_add() -> None:
    assert faults(command="CHECK", cniVersion="0.4.0")[0].startswith("prevResult is missing")
    result = {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "172.16.91.131/24"}]}
    netconf = parse("CHECK", cniVersion="0.4.0", prevResult=result)
    assert netconf.prev_result is not None
    assert str(netconf.prev_result.ips[0].address) == "172.16.91.131/24"


def test_gc_needs_to_be_told_what_is_in_use() -> None:
    key = "cni.dev/valid-attachments"
    assert faults(command="GC", cniVersion="1.1.0")[0].startswith(f"{key} is missing")
    netconf = parse("GC", cniVersion="1.1.0", **{key: [{"containerID": "c1", "ifname": "eth0"}]})
    assert netconf.valid_attachments == (ValidAttachment(container_id="c1", if_name="eth0"),)
    assert faults(command="GC", cniVersion="1.1.0", **{key: [{"containerID": "c1"}]}) == [
        f"{key}[0].ifname is missing"
    ]


def test_del_cleans_up_whatever_has_become_of_the_configuration() -> None:
    netconf = parse(
        "DEL", args="FOO=1", brige="x", isGateway=True, mtu="big", prevResult={"cniVersion": "9.9.9"}
    )
    assert netconf.name == "mycninet"
    assert faults(command="DEL", name="-") == ["name is missing"]


def test_unknown_arguments_are_refused_but_those_that_provide_reads() -> None:
    with pytest.raises(InvalidEnvironment, match="unknown keys: TENANT"):
        parse(args="TENANT=blue")
    parse(args="TENANT=blue", ipam={"type": "dhcp", "provide": [{"option": 224, "fromArg": "TENANT"}]})


def test_a_network_without_ipam_has_no_addresses() -> None:
    nothing: list[Any] = ["-", {}]
    for ipam in nothing:
        netconf = parse(ipam=ipam)
        assert (netconf.ipam, netconf.dhcp, netconf.delegated) == (None, None, "")


def test_keys_of_a_delegated_ipam_are_its_own_business() -> None:
    netconf = parse(
        ipam={"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/24"}]]}, capabilities={"ips": True}
    )
    assert netconf.delegated == "host-local"


def test_the_ipam_half_alone_reads_only_ipam() -> None:
    netconf = parse(
        role="ipam",
        type="macvlan",
        master="eth1",
        mode="bridge",
        isGateway=True,
        ipam={"type": "brdhcp-ipam", "probe": "none", "serviceCIDR": ["10.96.0.0/12"], "hostname": ""},
    )
    assert netconf.dhcp is not None
    assert (netconf.dhcp.probe, netconf.dhcp.hostname) == ("none", "")
    assert netconf.service_cidr == (IPv4Network("10.96.0.0/12"),)
    assert netconf.bridge == Bridge()


def test_dns_of_the_configuration_is_read_and_its_faults_named() -> None:
    netconf = parse(dns={"nameservers": ["192.0.2.1"], "search": ["example.org"]})
    assert netconf.dns.nameservers == ("192.0.2.1",)
    assert faults(dns={"nameservers": ["ns.example.org"]}) == [
        'dns.nameservers[0] "ns.example.org" is not an IP address'
    ]
