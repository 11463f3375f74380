"""The lab's network as data: which machines there are and what makes each one what it is. Nothing is done
here.

Addresses come from the configuration; the MAC of a machine is made from its address, so that it is the same
after a reboot and in every environment (environments share no wire).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Literal

from envctl.config import Config, interface_address

Role = Literal["switch", "router", "host", "internet", "node"]
INTERNET = IPv4Interface("203.0.113.10/24")
"""Documentation network (RFC 5737): what is behind the router's NAT."""
INTERNET_ROUTER = IPv4Interface("203.0.113.1/24")
INTERNET_NAME = "internet.lab.test"
DOMAIN = "lab.test"
LEASES = "/var/lib/dhcp/dnsmasq.leases"
DHCP_LOG = "/run/dnsmasq.log"
NAT = """\
add table ip envctl
delete table ip envctl
table ip envctl {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "wan" masquerade
  }
}
"""
"""The router's whole rule set, for ``nft -f -``; loading it twice leaves one."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine. ``address`` and ``mac`` are those on the LAN, empty for the switch; ``nic`` is on its own
    side.
    """

    name: str
    role: Role
    address: str = ""
    mac: str = ""
    nic: str = "eth0"

    @property
    def port(self) -> str:
        """The switch's end of its cable."""
        return f"to-{self.name}"

    @property
    def plugged(self) -> bool:
        """Whether it has a cable to the switch."""
        return self.role in ("router", "host", "node")


def machines(config: Config) -> tuple[Machine, ...]:
    """Every machine of the environment, the switch first."""
    network = config.network
    lan = [Machine("router", "router", str(network.gateway), mac(network.gateway))]
    lan.append(Machine("host", "host", str(network.host), mac(network.host)))
    nic = config.uplink.interface
    for name, address in config.node_addresses().items():
        lan.append(Machine(name, "node", str(address), mac(address), nic))
    return (Machine("switch", "switch"), *lan, Machine("internet", "internet", str(INTERNET.ip)))


def mac(address: IPv4Address) -> str:
    """A locally administered unicast MAC: ``02:00`` and the four bytes of the address."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + address.packed)


def switch_lines() -> list[str]:
    """What makes the switch; for ``ip -batch``."""
    return ["link add lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set lan up"]


def cable_lines(machine: Machine, pid: int) -> list[str]:
    """What plugs a machine, held by process ``pid``, into the switch; for ``ip -batch`` on the switch."""
    peer = f"peer name {machine.nic} address {machine.mac} netns {pid}"
    return [f"link add {machine.port} type veth {peer}", f"link set dev {machine.port} master lan up"]


def wan_lines(internet_pid: int) -> list[str]:
    """What joins the router to the internet; for ``ip -batch`` on the router."""
    return [f"link add wan type veth peer name eth0 netns {internet_pid}"]


def address_lines(config: Config, machine: Machine) -> list[str]:
    """What gives a machine its addresses and routes; for ``ip -batch``. Doing it again changes nothing."""
    network = config.network
    up = [f"link set dev {machine.nic} up"]
    if machine.role == "router":
        lines = [address_line(config, network.dhcp.server), address_line(config, network.gateway)]
        if network.ipv6 is not None:
            lines.append(f"addr replace {router_ipv6(config)} dev eth0 nodad")
        return [*up, *lines, "link set dev wan up", f"addr replace {INTERNET_ROUTER} brd + dev wan"]
    if machine.role == "internet":
        return [*up, f"addr replace {INTERNET} brd + dev eth0"]
    if machine.role == "node" and config.uplink.address == "dhcp":
        return up
    route = f"route replace default via {network.gateway} dev {machine.nic}"
    return [*up, address_line(config, IPv4Address(machine.address), machine.nic), route]


def address_line(config: Config, address: IPv4Address, dev: str = "eth0") -> str:
    return f"addr replace {interface_address(config, address)} brd + dev {dev}"


def router_ipv6(config: Config) -> IPv6Interface:
    """The router's address in the announced prefix: its second one."""
    prefix = config.network.ipv6
    assert prefix is not None
    return IPv6Interface(f"{prefix[2]}/{prefix.prefixlen}")


def dnsmasq(config: Config) -> list[str]:
    """The command line of the LAN's DHCP and DNS server; it returns once the server listens."""
    network, dhcp = config.network, config.network.dhcp
    argv = [
        "dnsmasq", "--conf-file=/dev/null", "--user=root", "--pid-file=/run/dnsmasq.pid",
        "--bind-interfaces", "--interface=eth0", "--no-resolv", "--no-hosts", f"--local=/{DOMAIN}/",
        f"--domain={DOMAIN}", f"--host-record={INTERNET_NAME},{INTERNET.ip}",
        f"--host-record=router.{DOMAIN},{network.gateway}", f"--host-record=host.{DOMAIN},{network.host}",
        "--dhcp-authoritative", "--no-ping", f"--dhcp-leasefile={LEASES}",
        "--log-dhcp", f"--log-facility={DHCP_LOG}", f"--dhcp-option=option:router,{network.gateway}",
        f"--dhcp-option=option:dns-server,{network.gateway}",
        f"--dhcp-range={dhcp.first},{dhcp.last},{network.cidr.netmask},{dhcp.lease_s}",
    ]  # fmt: skip
    for name, address in config.node_addresses().items():
        argv.append(f"--host-record={name}.{DOMAIN},{address}")
        if config.uplink.address == "dhcp":
            argv.append(f"--dhcp-host={mac(address)},{address},{name}")
    if network.ipv6 is not None:
        prefix = network.ipv6
        argv += [
            "--enable-ra",
            f"--dhcp-range={prefix.network_address},ra-only,{prefix.prefixlen},{dhcp.lease_s}",
        ]
    return argv


def dhclient(machine: Machine) -> list[str]:
    """The command line of a node's own DHCP client; it returns once there is a lease."""
    files = f"/run/dhclient.{machine.nic}.pid", f"/var/lib/dhcp/dhclient.{machine.nic}.leases"
    return ["dhclient", "-4", "-1", "-pf", files[0], "-lf", files[1], machine.nic]


def files(config: Config, machine: Machine) -> dict[Path, str]:
    """What a machine finds in its /etc when it starts, by path below its disk."""
    names = {"127.0.0.1": f"localhost {machine.name}", "::1": "localhost"}
    return {
        Path("etc/hostname"): f"{machine.name}\n",
        Path("etc/hosts"): "".join(f"{address} {name}\n" for address, name in names.items()),
        Path("etc/resolv.conf"): f"search {DOMAIN}\nnameserver {config.network.gateway}\n",
    }
