"""The network configuration as the runtime hands it over, read strictly: every fault at once, no key
dropped silently.

``.conf`` and ``.conflist`` look the same from here: a runtime gives each plugin its own object with
``name`` and ``cniVersion`` filled in (CNI SPEC, "Network configuration"). docs/reference/netconf.md is the
user's side of this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from brdhcp.errors import InvalidConfiguration
from brdhcp.spec.environment import Request, Role, identifier_fault, if_name_fault
from brdhcp.spec.fields import Faults, Section, decode
from brdhcp.spec.ipam import DHCP_KEYS, Dhcp, Ipam, read_dhcp, read_ipam
from brdhcp.spec.result import Dns, Result
from brdhcp.spec.versions import UNSTATED, require_supported, require_verb

_MAC = re.compile(r"(?i)[0-9a-f]{2}(:[0-9a-f]{2}){5}")

_STANDARD = (
    *("cniVersion", "name", "type", "args", "capabilities", "runtimeConfig", "prevResult", "dns", "ipam"),
    *("disableCheck", "disableGC", "loadOnlyInlinedPlugins"),
)

_NEEDED_TO_CLEAN = ("name ", "cni.dev/valid-attachments")

_HINTS = {
    "plugins": "that is a configuration list (.conflist); the runtime hands each plugin its own part",
    "master": "the NIC is put into the bridge once, by brdhcpctl uplink migrate",
    "subnet": "the LAN's DHCP server says the subnet",
    "gateway": "the LAN's DHCP server says the gateway",
    "networkScaling": "no plugin does this any more",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidAttachment:
    """One of ``cni.dev/valid-attachments``: what the runtime still knows (CNI SPEC, "GC")."""

    container_id: str
    if_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """The keys of the reference bridge plugin, by the names of its documentation, and the guards of ours."""

    name: str = "cni0"
    is_gateway: bool = False
    force_address: bool = False
    is_default_gateway: bool = False
    ip_masq: bool = False
    mtu: int | None = None
    hairpin_mode: bool = False
    promisc_mode: bool = False
    vlan: int = 0
    """0: the port's VLANs are left as the bridge makes them."""
    vlan_trunk: tuple[tuple[int, int], ...] = ()
    """Ranges, both ends included."""
    preserve_default_vlan: bool = True
    mac_spoof_check: bool = False
    enable_dad: bool = False
    disable_container_interface: bool = False
    port_isolation: bool = False
    dhcp_guard: bool = False
    spoof_guard: bool = False
    ra_guard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConf:
    """One network configuration, complete and without contradictions.

    ``ipam`` is None for a network without addresses; ``dhcp`` is there when our agent does the IPAM, so a
    delegated one is ``netconf.ipam is not None and netconf.dhcp is None``. ``mac`` is what somebody asked
    for, None otherwise.
    """

    cni_version: str
    name: str
    type: str = ""
    bridge: Bridge = field(default_factory=Bridge)
    ipam: Ipam | None = None
    dhcp: Dhcp | None = None
    service_cidr: tuple[IPv4Network, ...] = ()
    mac: str | None = None
    dns: Dns = field(default_factory=Dns)
    prev_result: Result | None = None
    valid_attachments: tuple[ValidAttachment, ...] | None = None
    """None when the runtime did not say: then nothing may be collected."""

    @property
    def delegated(self) -> str:
        """The name of the executable that does the IPAM, ``""`` when we do it or nobody."""
        return self.ipam.type if self.ipam is not None and self.dhcp is None else ""

    @classmethod
    def parse(cls, stdin: bytes, request: Request) -> NetConf:
        """Read the configuration for ``request``.

        Raises Undecodable (no JSON), IncompatibleVersion, InvalidEnvironment (CNI_ARGS),
        InvalidConfiguration with every fault, or UnsupportedField when all of them are keys or values that
        cannot be honoured.
        """
        data = decode(stdin)
        version = data.get("cniVersion", UNSTATED)
        if not isinstance(version, str):
            raise InvalidConfiguration("cniVersion must be a string", 'as "1.0.0"')
        version = require_supported(version)
        require_verb(request.command, version)
        faults = Faults()
        netconf = _Reader(data, request, version, faults).read()
        name = data.get("name")
        if request.command in ("DEL", "GC"):
            # What is not wanted any more is cleaned up, whatever became of its configuration since.
            faults.invalid = [fault for fault in faults.invalid if fault.startswith(_NEEDED_TO_CLEAN)]
            faults.unsupported = []
        faults.raise_if_any(f'in the configuration "{name}"' if isinstance(name, str) and name else "")
        if request.command not in ("DEL", "GC"):
            request.require_known_args(netconf.dhcp.args_used if netconf.dhcp else frozenset())
        return netconf


class _Reader:
    def __init__(self, data: dict[str, Any], request: Request, version: str, faults: Faults) -> None:
        self.top = Section(data, "", faults)
        self.request = request
        self.version = version
        self.faults = faults

    def read(self) -> NetConf:
        top, role = self.top, self.request.role
        top.ignore(*_STANDARD)
        name = top.string("name", fault=identifier_fault)
        if not name and top.raw("name") in (None, ""):
            top.invalid("name", "is missing")
        bridge = self._bridge() if role == "main" else Bridge()
        section = top.section("ipam")
        ipam = read_ipam(section, role)
        ours = ipam is not None and ipam.is_dhcp
        self._conflicts(bridge, ipam)
        dhcp = read_dhcp(top if role == "main" else None, section, self.request) if ours else None
        if bridge.vlan and dhcp is not None and dhcp.warm_leases:
            top.unsupported("warmLeases", "together with vlan is not supported: they are taken untagged")
        service_cidr = self._service_cidr(section if ours else None)
        self._capabilities(role, delegated=ipam is not None and not ours)
        netconf = NetConf(
            cni_version=self.version,
            name=name,
            type=top.string("type"),
            bridge=bridge,
            ipam=ipam,
            dhcp=dhcp,
            service_cidr=service_cidr,
            mac=self._mac(),
            dns=Dns.read(top.section("dns")),
            prev_result=self._prev_result(),
            valid_attachments=self._valid_attachments(),
        )
        self._refuse_unknown(role, section, ours)
        return netconf

    def _bridge(self) -> Bridge:
        top = self.top
        bridge = Bridge(
            name=top.string("bridge", "cni0", if_name_fault),
            is_gateway=top.boolean("isGateway") or top.boolean("isDefaultGateway"),
            is_default_gateway=top.boolean("isDefaultGateway"),
            force_address=top.boolean("forceAddress"),
            ip_masq=top.boolean("ipMasq"),
            mtu=top.integer("mtu", 0, 65535, 0) or None,
            hairpin_mode=top.boolean("hairpinMode"),
            promisc_mode=top.boolean("promiscMode"),
            vlan=top.integer("vlan", 0, 4094, 0),
            vlan_trunk=self._vlan_trunk(),
            preserve_default_vlan=top.boolean("preserveDefaultVlan", True),
            mac_spoof_check=top.boolean("macspoofchk"),
            enable_dad=top.boolean("enabledad"),
            disable_container_interface=top.boolean("disableContainerInterface"),
            port_isolation=top.boolean("portIsolation"),
            dhcp_guard=top.boolean("dhcpGuard"),
            spoof_guard=top.boolean("spoofGuard"),
            ra_guard=top.boolean("raGuard"),
        )
        if bridge.mtu is not None and bridge.mtu < 68:
            top.invalid("mtu", f"is {bridge.mtu}, IPv4 needs at least 68 (RFC 791)")
        backend = top.string("ipMasqBackend", "nftables")
        if backend != "nftables":
            top.unsupported(
                "ipMasqBackend", f'"{backend}" is not supported: masquerading is done with nftables'
            )
        return bridge

    def _vlan_trunk(self) -> tuple[tuple[int, int], ...]:
        ranges = []
        for item in self.top.sections("vlanTrunk"):
            low, high, one = (item.integer(key, 1, 4094, 0) for key in ("minID", "maxID", "id"))
            if ("minID" in item) != ("maxID" in item):
                item.invalid(
                    "minID" if "maxID" in item else "maxID", "is missing: minID and maxID go together"
                )
            elif low and high and low > high:
                item.invalid("minID", f"{low} is above maxID {high}")
            elif low and high:
                ranges.append((low, high))
            if one:
                ranges.append((one, one))
            if not any(key in item for key in ("minID", "maxID", "id")):
                item.invalid("id", "is missing (or minID and maxID)")
            item.refuse_unknown()
        return tuple(sorted(set(ranges)))

    def _conflicts(self, bridge: Bridge, ipam: Ipam | None) -> None:
        """Keys that exclude each other."""
        top = self.top
        dhcp = ipam is not None and ipam.is_dhcp
        gateway_key = "isDefaultGateway" if bridge.is_default_gateway else "isGateway"
        if bridge.hairpin_mode and bridge.promisc_mode:
            top.invalid("hairpinMode", "and promiscMode exclude each other")
        if bridge.vlan and bridge.vlan_trunk:
            top.invalid("vlan", "and vlanTrunk exclude each other: a port is an access port or a trunk")
        if bridge.disable_container_interface and ipam is not None:
            top.invalid(
                "disableContainerInterface",
                "and ipam exclude each other: a link that is down has no use for an address",
            )
        if bridge.is_gateway and dhcp:
            top.unsupported(
                gateway_key,
                "with ipam.type dhcp would put the LAN gateway's own address on this node and cut the LAN "
                "off from its router; leave it out: the lease brings the pod's default route",
            )
        if bridge.is_gateway and bridge.vlan:
            top.unsupported(
                gateway_key, "together with vlan is not supported: the bridge's own address is untagged"
            )
        if bridge.is_gateway and ipam is None:
            top.invalid(gateway_key, "needs an ipam: the gateway's address comes from there")
        if bridge.spoof_guard and bridge.vlan_trunk:
            top.invalid(
                "spoofGuard", "and vlanTrunk exclude each other: a trunk's addresses are the pod's own affair"
            )
        if bridge.spoof_guard and ipam is None:
            top.invalid(
                "spoofGuard", "needs an ipam: it allows nothing but the pod's own address (see macspoofchk)"
            )

    def _service_cidr(self, ipam: Section | None) -> tuple[IPv4Network, ...]:
        holder = self.top if self.request.role == "main" else ipam
        if holder is None:
            return ()
        return tuple(IPv4Network(cidr) for cidr in holder.strings("serviceCIDR", _network_fault, one=True))

    def _mac(self) -> str | None:
        """runtimeConfig.mac, else args.cni.mac, else MAC of CNI_ARGS, as in the reference plugin."""
        found = ""
        runtime, args = self.top.section("runtimeConfig"), self.top.section("args")
        cni = args.section("cni") if args else None
        for holder in (runtime, cni):
            if holder is not None:
                found = found or holder.string("mac", fault=lambda v: mac_fault(v) if v else None)
        if not found and (mac := self.request.args.get("MAC", "")):
            if why := mac_fault(mac):
                self.faults.invalid.append(f'MAC of CNI_ARGS "{mac}" {why}')
            else:
                found = mac
        return found.lower() or None

    def _capabilities(self, role: Role, *, delegated: bool) -> None:
        capabilities = self.top.section("capabilities")
        if capabilities is None or role == "ipam":
            return
        ours = {"mac", "ips", "ipRanges", "dns"} if delegated else {"mac"}
        wanted = self.top.raw("capabilities") or {}
        for key in wanted:
            if capabilities.boolean(key) and key not in ours:
                owner = {"portMappings": "portmap", "bandwidth": "bandwidth"}.get(key)
                why = f": it is the {owner} plugin's, chain that" if owner else ""
                capabilities.unsupported(key, f"is no capability of brdhcp{why}")

    def _prev_result(self) -> Result | None:
        section = self.top.section("prevResult")
        if section is not None and self.request.command not in ("DEL", "GC"):
            return Result.read(section, self.version)
        if self.request.command == "CHECK":
            self.top.invalid("prevResult", "is missing: the runtime must hand the result of ADD to CHECK")
        return None

    def _valid_attachments(self) -> tuple[ValidAttachment, ...] | None:
        key = "cni.dev/valid-attachments"
        if self.top.raw(key) is None:
            if self.request.command == "GC":
                self.top.invalid(key, "is missing: without it GC cannot know what is still in use")
            return None
        found = []
        for item in self.top.sections(key):
            container_id, if_name = item.string("containerID"), item.string("ifname")
            for name, value in (("containerID", container_id), ("ifname", if_name)):
                if not value:
                    item.invalid(name, "is missing")
            found.append(ValidAttachment(container_id=container_id, if_name=if_name))
        return tuple(found)

    def _refuse_unknown(self, role: Role, ipam: Section | None, ours: bool) -> None:
        if ipam is not None and ours:
            ipam.refuse_unknown(
                hints=_HINTS | {"routes": "routes come from the lease; serviceCIDR adds those of services"}
            )
        if role == "ipam":
            return
        if not ours:
            for key in DHCP_KEYS:
                if key in self.top:
                    self.top.unsupported(key, "has a meaning only with ipam.type dhcp")
        self.top.refuse_unknown(
            [*DHCP_KEYS, *(key for key in self.top if key.startswith("cni.dev/"))], _HINTS
        )


def mac_fault(value: str) -> str | None:
    """Why ``value`` cannot be the MAC of one interface, or None."""
    if not _MAC.fullmatch(value):
        return "is not a MAC address, as 02:00:5e:00:00:01"
    if int(value[:2], 16) & 1:
        return "is a multicast address: the lowest bit of the first byte must be 0"
    return "is all zeros" if value == "00:00:00:00:00:00" else None


def _network_fault(value: str) -> str | None:
    try:
        IPv4Network(value)
    except ValueError as error:
        return f"is not an IPv4 network, as 10.96.0.0/12 ({error})"
    return None if "/" in value else "has no prefix length, as 10.96.0.0/12 has"
