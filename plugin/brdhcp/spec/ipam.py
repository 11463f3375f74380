"""The ``ipam`` part of a network configuration: the reference dhcp plugin's keys, and the DHCP keys of
ours.

The DHCP keys of ours stand at the top of a configuration of ``type: brdhcp``, or inside ``ipam``, which is
the only place there is when ``brdhcp-ipam`` works under another main plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Literal

from brdhcp.spec.environment import Request, Role
from brdhcp.spec.fields import Section, json_type

OPTION_NAMES = {
    "subnet-mask": 1,
    "routers": 3,
    "host-name": 12,
    "vendor-class-identifier": 60,
    "dhcp-client-identifier": 61,
    "user-class": 77,
}
"""The option names of the reference plugin, as in dhcp-options(5); others go by their number."""

DHCP_KEYS = ("probe", "warmLeases", "trustedServers", "acquireTimeout", "hostname", "clientId", "serviceCIDR")
"""Keys of ours that need our DHCP client."""

_PAD, _END = 0, 255
_NOT_PROVIDED = {
    50: "the requested address",
    51: "the lease time",
    52: "option overload",
    53: "the message type",
    54: "the server identifier",
    55: "the parameter list (see ipam.request)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipam:
    """``type`` and, when it is ours, where the agent listens."""

    type: str
    is_dhcp: bool
    daemon_socket_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOption:
    """Ask for an option; ``skip_default`` alone empties the list of those asked for by default."""

    option: int | None
    skip_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvideOption:
    """Send an option; ``value`` is already looked up when it came from CNI_ARGS."""

    option: int
    value: str


Probe = Literal["none", "fast", "rfc5227"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dhcp:
    """What our DHCP client is told. ``client_id`` is ``container``, ``mac``, ``pod`` or a literal."""

    request: tuple[RequestOption, ...] = ()
    provide: tuple[ProvideOption, ...] = ()
    priority: int | None = None
    """Metric of the pod's routes."""
    probe: Probe = "fast"
    warm_leases: int = 0
    trusted_servers: tuple[IPv4Address, ...] = ()
    acquire_timeout: float = 10.0
    """Seconds until ADD gives up."""
    hostname: str = ""
    client_id: str = "container"
    args_used: frozenset[str] = frozenset()
    """Keys of CNI_ARGS that ``provide`` reads."""


def read_ipam(section: Section | None, role: Role) -> Ipam | None:
    """The ``ipam`` object; None when there is none, or an empty one, which means a network without
    addresses.
    """
    if section is None:
        return None
    kind = section.string("type")
    if not kind:
        if section.raw("type") in (None, "") and (role == "ipam" or not section.empty):
            section.invalid("type", "is missing")
        return None
    if "/" in kind:
        section.invalid("type", f'"{kind}" is a path: it must be the name of an executable on CNI_PATH')
        return None
    ours = role == "ipam" or kind in ("dhcp", "brdhcp-ipam")
    if not ours:
        return Ipam(type=kind, is_dhcp=False)
    path = section.string(
        "daemonSocketPath", fault=lambda v: None if v.startswith("/") else "is not an absolute path"
    )
    return Ipam(type=kind, is_dhcp=True, daemon_socket_path=path)


def read_dhcp(top: Section | None, ipam: Section | None, request: Request) -> Dhcp:
    """The DHCP keys of ``ipam`` and those of ours, which stand at ``top`` or in ``ipam``, but not in both."""
    assert ipam is not None
    home = {key: ipam if top is None or key in ipam else top for key in DHCP_KEYS}
    for key in DHCP_KEYS:
        if top is not None and key in top and key in ipam:
            ipam.invalid(key, "is also at the top of the configuration: say it once")
    provide, used = _provide(ipam, request)
    priority = ipam.integer("priority", 0, 2**32 - 1, -1)
    timeout = home["acquireTimeout"].seconds("acquireTimeout", 0.1, 110, 10.0)
    return Dhcp(
        request=tuple(_requests(ipam)),
        provide=provide,
        priority=None if priority < 0 else priority,
        probe=_probe(home["probe"].choice("probe", ("none", "fast", "rfc5227"), "fast")),
        warm_leases=home["warmLeases"].integer("warmLeases", 0, 64, 0),
        trusted_servers=tuple(
            map(IPv4Address, home["trustedServers"].strings("trustedServers", _server_fault))
        ),
        acquire_timeout=timeout,
        hostname=_hostname(home["hostname"], request),
        client_id=_client_id(home["clientId"], request),
        args_used=used,
    )


def _probe(value: str) -> Probe:
    return "none" if value == "none" else "rfc5227" if value == "rfc5227" else "fast"


def option_number(section: Section) -> int | None:
    """``option``: a name of the reference plugin or a number from 1 to 254, as a string or a number."""
    value = section.raw("option")
    if value is None or value == "":
        return None
    if isinstance(value, str) and value in OPTION_NAMES:
        return OPTION_NAMES[value]
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else value
    if isinstance(number, int) and not isinstance(number, bool) and _PAD < number < _END:
        return number
    section.invalid(
        "option", f"is {json_type(value)}, must be a number from 1 to 254 or one of {', '.join(OPTION_NAMES)}"
    )
    return None


def _requests(ipam: Section) -> list[RequestOption]:
    found = []
    for item in ipam.sections("request"):
        option, skip = option_number(item), item.boolean("skipDefault")
        if option is None and not skip and item.raw("option") in (None, ""):
            item.invalid("option", "is missing (or skipDefault: true)")
        found.append(RequestOption(option=option, skip_default=skip))
        item.refuse_unknown()
    return found


def _provide(ipam: Section, request: Request) -> tuple[tuple[ProvideOption, ...], frozenset[str]]:
    found, used = [], set()
    for item in ipam.sections("provide"):
        option, value, arg = option_number(item), item.string("value"), item.string("fromArg")
        if item.raw("option") in (None, ""):
            item.invalid("option", "is missing")
        if option in _NOT_PROVIDED:
            item.unsupported(
                "option", f"{option} cannot be provided: {_NOT_PROVIDED[option]} is the DHCP client's own"
            )
            option = None
        if arg:
            used.add(arg)
            value = request.args.get(arg, value)
        if option is not None and len(value.encode()) > 255:
            item.invalid("value", f"is {len(value.encode())} bytes long, an option holds at most 255")
        elif option is not None and not value and not arg:
            item.invalid("value", "is missing (or fromArg)")
        elif option is not None and value:
            found.append(ProvideOption(option=option, value=value))
        item.refuse_unknown()
    return tuple(found), frozenset(used)


def _server_fault(value: str) -> str | None:
    try:
        IPv4Address(value)
    except AddressValueError:
        return "is not an IPv4 address"
    return None


def _hostname(home: Section, request: Request) -> str:
    """The pod's name unless the configuration says another (``""`` for none)."""
    default = request.args.get("K8S_POD_NAME", "")[:255]
    return home.string(
        "hostname", default, lambda v: "is longer than 255 bytes" if len(v.encode()) > 255 else None
    )


def _client_id(home: Section, request: Request) -> str:
    def fault(value: str) -> str | None:
        if not value:
            return "is empty: container, mac, pod or a text of your own"
        if len(value.encode()) > 254:
            return "is longer than 254 bytes"
        if value == "pod" and not request.pod and request.command == "ADD":
            return "needs K8S_POD_NAME in CNI_ARGS, which the runtime did not send"
        return None

    return home.string("clientId", "container", fault)
