"""The configuration: what an environment should be. ``envctl.yaml`` in, a frozen :class:`Config` out.

No file is needed: every key has a default, and the defaults are the network of the documentation. The models
say the shape and the limits of single keys; :func:`contradictions` says what cannot be true of several keys
at once. Reading files, and naming every fault of one with its line, is :mod:`envctl.configfile`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

VERSION = 1

Location = tuple[str, ...]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,19}$")]
LinkName = Annotated[str, StringConstraints(pattern=r"^[^\s/:.][^\s/:]{0,14}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class Dhcp(_Model):
    """The LAN's DHCP server."""

    server: IPv4Address = Field(default=IPv4Address("172.16.91.254"), description="Its address.")
    first: IPv4Address = Field(
        default=IPv4Address("172.16.91.128"), description="First address that it gives away."
    )
    last: IPv4Address = Field(
        default=IPv4Address("172.16.91.253"), description="Last address that it gives away."
    )
    lease_s: int = Field(
        default=3600, ge=120, le=31_536_000, description="Lease time in seconds; 120 is dnsmasq's least."
    )


class Network(_Model):
    """The LAN that node, workstation and pods share."""

    cidr: IPv4Network = Field(default=IPv4Network("172.16.91.0/24"), description="The subnet.")
    host: IPv4Address = Field(
        default=IPv4Address("172.16.91.1"), description="The workstation's address on the LAN."
    )
    gateway: IPv4Address = Field(default=IPv4Address("172.16.91.2"), description="Router and DNS server.")
    ipv6: IPv6Network | None = Field(
        default=None, description="A prefix that the router announces; none by default."
    )
    dhcp: Dhcp = Dhcp()


class Nodes(_Model):
    """The machines that carry pods."""

    master: IPv4Address = Field(default=IPv4Address("172.16.91.10"), description="Address of the first node.")
    workers: int = Field(
        default=1, ge=0, le=20, description="Number of further nodes; addresses follow the master's."
    )


class Uplink(_Model):
    """How a node is on the LAN before the migration, and how long the guard waits."""

    interface: LinkName = Field(default="eth0", description="The NIC that becomes a port of the bridge.")
    address: Literal["static", "dhcp"] = Field(
        default="static", description="Where the node's own address comes from."
    )
    confirm_s: int = Field(
        default=15, ge=2, le=600, description="Seconds without a confirmation after which the guard undoes."
    )


class Plugin(_Model):
    """The CNI network that is written to the nodes (docs/reference/netconf.md)."""

    network: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$")] = Field(
        default="mycninet", description="Name of the CNI network."
    )
    cni_version: Literal["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] = Field(
        default="0.3.1", alias="cniVersion", description="Version of the CNI specification that is spoken."
    )
    service_cidr: IPv4Network | None = Field(
        default=None,
        alias="serviceCIDR",
        description="Give each pod a route to this network by its node's LAN address; off by default.",
    )
    extra: dict[str, Any] = Field(
        default_factory=dict, description="Further keys of the network configuration, as is."
    )


class Pods(_Model):
    """The pods that ``up`` makes."""

    count: int = Field(default=3, ge=0, le=100, description="How many; they are spread over the nodes.")


class Apiserver(_Model):
    """What answers at the master's address."""

    kind: Literal["standin", "real"] = Field(
        default="standin", description="A small TLS server, or a kube-apiserver."
    )
    port: int = Field(default=8443, ge=1, le=65535, description="Its port.")


class Config(_Model):
    """One environment."""

    version: Literal[1] = Field(default=1, description="Version of this file's format.")
    name: Name = Field(default="envctl", description="Names the environment; several live side by side.")
    provider: Literal["lab", "vagrant"] = Field(
        default="lab", description="Network namespaces, or virtual machines."
    )
    guest: Literal["centos7", "debian12"] = Field(
        default="centos7", description="What a virtual machine runs."
    )
    network: Network = Network()
    nodes: Nodes = Nodes()
    uplink: Uplink = Uplink()
    bridge: LinkName = Field(
        default="mybr0", description="The bridge that the uplink and the pods are plugged into."
    )
    plugin: Plugin = Plugin()
    pods: Pods = Pods()
    apiserver: Apiserver = Apiserver()

    def node_addresses(self) -> dict[str, IPv4Address]:
        """``{"master": .10, "worker1": .11, ...}``, in order."""
        addresses = {"master": self.nodes.master}
        for number in range(1, self.nodes.workers + 1):
            addresses[f"worker{number}"] = self.nodes.master + number
        return addresses

    def netconf(self) -> dict[str, Any]:
        """The network configuration for ``/etc/cni/net.d``, as one plugin's JSON."""
        conf: dict[str, Any] = {
            "cniVersion": self.plugin.cni_version,
            "name": self.plugin.network,
            "type": "brdhcp",
            "bridge": self.bridge,
            "ipam": {"type": "dhcp"},
        }
        if self.plugin.service_cidr is not None:
            conf["serviceCIDR"] = str(self.plugin.service_cidr)
            conf["hairpinMode"] = True  # a pod may be the one behind the service that it asks
        return {**conf, **self.plugin.extra}


def contradictions(config: Config) -> Iterator[tuple[Location, str]]:
    """What cannot be true of several keys at once, as ``(key, sentence)``; nothing when all is well."""
    yield from _outside(config)
    yield from _taken_twice(config)
    yield from _inside_the_range(config)
    if config.bridge == config.uplink.interface:
        yield ("bridge",), f"is {config.bridge}, the name of the NIC (uplink.interface)"
    if config.network.dhcp.first > config.network.dhcp.last:
        yield ("network", "dhcp", "last"), f"is below network.dhcp.first ({config.network.dhcp.first})"
    for key in sorted({"type", "bridge", "ipam", "name", "cniVersion"} & config.plugin.extra.keys()):
        yield ("plugin", "extra", key), "is written by envctl; it cannot be set here"


def _places(config: Config) -> dict[Location, IPv4Address]:
    return {
        ("network", "host"): config.network.host,
        ("network", "gateway"): config.network.gateway,
        ("network", "dhcp", "server"): config.network.dhcp.server,
        ("nodes", "master"): config.nodes.master,
    }


def _outside(config: Config) -> Iterator[tuple[Location, str]]:
    cidr = config.network.cidr
    if cidr.prefixlen > 28:
        yield ("network", "cidr"), f"is {cidr}: too small for a LAN with pods; /28 or larger is needed"
    dhcp = config.network.dhcp
    ends: dict[Location, IPv4Address] = {
        ("network", "dhcp", "first"): dhcp.first,
        ("network", "dhcp", "last"): dhcp.last,
    }
    for key, address in (_places(config) | ends).items():
        if address not in cidr:
            yield key, f"is {address}, which is not in network.cidr ({cidr})"
        elif address in (cidr.network_address, cidr.broadcast_address):
            yield key, f"is {address}, the network or broadcast address of {cidr}"
    last = list(config.node_addresses().values())[-1]
    if config.nodes.master in cidr and (last not in cidr or last == cidr.broadcast_address):
        yield ("nodes", "workers"), f"is {config.nodes.workers}: the last one's address {last} leaves {cidr}"


def _taken_twice(config: Config) -> Iterator[tuple[Location, str]]:
    seen: dict[IPv4Address, Location] = {}
    for key, address in _places(config).items():
        if address in seen:
            yield key, f"is {address}, which is {'.'.join(seen[address])} already"
        seen.setdefault(address, key)
    for name, address in config.node_addresses().items():
        if name != "master" and address in seen:
            yield ("nodes", "workers"), f"gives {name} {address}, which is {'.'.join(seen[address])} already"


def _inside_the_range(config: Config) -> Iterator[tuple[Location, str]]:
    dhcp = config.network.dhcp
    for key, address in _places(config).items():
        if dhcp.first <= address <= dhcp.last:
            yield key, f"is {address}, which the DHCP server gives away ({dhcp.first} – {dhcp.last})"
    for name, address in config.node_addresses().items():
        if name != "master" and dhcp.first <= address <= dhcp.last:
            yield ("nodes", "workers"), f"puts {name} at {address}, which the DHCP server gives away"
            return


def json_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of ``envctl.yaml``, for editors."""
    schema = Config.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "envctl.yaml"}


def pool_size(config: Config) -> int:
    """How many addresses the DHCP server can give away."""
    return int(config.network.dhcp.last) - int(config.network.dhcp.first) + 1


def interface_address(config: Config, address: IPv4Address) -> ipaddress.IPv4Interface:
    """The address with the LAN's prefix length."""
    return ipaddress.IPv4Interface(f"{address}/{config.network.cidr.prefixlen}")
