"""DHCP servers of several kinds in the lab's router: started alike, and asked what they think is taken."""

from __future__ import annotations

import json
import re
import shlex
from abc import ABC, abstractmethod

from tests.lab.lan import Lan, until

FIRST, LAST, LEASE_S = "172.16.91.128", "172.16.91.140", 600
NETWORKD = "/lib/systemd/systemd-networkd"


class Kind(ABC):
    """One kind of server. ``name`` is what the tests call it."""

    name = ""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.router = lan.router

    @abstractmethod
    def start(self) -> None:
        """Serve the range on the router's eth0; returns when it listens."""

    @abstractmethod
    def taken(self) -> dict[str, str]:
        """What the server itself thinks is taken: MAC to address."""

    def put(self, path: str, text: str) -> None:
        self.router.run(f"sh -c 'cat >{path}'", stdin=text)

    def spawn(self, command: str) -> None:
        """Start it in the background of the router: it ends with the router."""
        self.router.run(f"sh -c {shlex.quote(command + ' >/run/server.log 2>&1 &')}")
        until(self.listens, what=f"{self.name} listens")

    def listens(self) -> bool:
        return bool(self.router.run("ss -Hlun sport = 67", check=False).stdout)


class Dnsmasq(Kind):
    name = "dnsmasq"

    def start(self) -> None:
        self.lan.start_dnsmasq(LEASE_S, (f"--dhcp-range={FIRST},{LAST},{LEASE_S}",))

    def taken(self) -> dict[str, str]:
        return self.lan.server_leases()


class Isc(Kind):
    """ISC dhcpd (package isc-dhcp-server); its ping before an offer, a second each, is off."""

    name = "isc-dhcpd"

    def start(self) -> None:
        self.put("/run/dhcpd.conf", f"""
            authoritative; default-lease-time {LEASE_S}; max-lease-time {LEASE_S}; ping-check false;
            subnet 172.16.91.0 netmask 255.255.255.0 {{
              range {FIRST} {LAST}; option routers 172.16.91.2; option domain-name-servers 172.16.91.2;
            }}
            """)  # fmt: skip
        self.router.run("touch /run/dhcpd.leases")
        self.spawn(
            "dhcpd -f -4 -q -cf /run/dhcpd.conf -lf /run/dhcpd.leases -pf /run/dhcpd.pid --no-pid eth0"
        )

    def taken(self) -> dict[str, str]:
        text = self.router.run("cat /run/dhcpd.leases").stdout
        found: dict[str, tuple[str, bool]] = {}
        for address, body in re.findall(r"^lease (\S+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
            mac = re.search(r"hardware ethernet (\S+);", body)
            found[address] = (mac[1] if mac else "", "\n  binding state active;" in body)
        return {mac: address for address, (mac, active) in found.items() if active}


class Udhcpd(Kind):
    """Busybox's; it tries each address by ARP, one after another, and writes its leases down when told to (SIGUSR1)."""

    name = "udhcpd"

    def start(self) -> None:
        self.put("/run/udhcpd.conf", f"""
start {FIRST}
end {LAST}
interface eth0
lease_file /run/udhcpd.leases
pidfile /run/udhcpd.pid
option subnet 255.255.255.0
option router 172.16.91.2
option dns 172.16.91.2
option lease {LEASE_S}
""")  # fmt: skip
        self.router.run("touch /run/udhcpd.leases")
        self.spawn("udhcpd -f -S -a 50 /run/udhcpd.conf")

    def taken(self) -> dict[str, str]:
        """From the file's own form: a time of writing, then 36 octets a lease (busybox, ``struct dyn_lease``)."""
        self.router.run("sh -c 'rm -f /run/udhcpd.leases; kill -USR1 $(cat /run/udhcpd.pid)'")
        until(
            lambda: self.router.run("test -s /run/udhcpd.leases", check=False).returncode == 0,
            what="leases on disk",
        )
        shown = self.router.run("dumpleases -a -f /run/udhcpd.leases").stdout
        pairs = [line.split() for line in shown.splitlines()[1:]]
        return {fields[0]: fields[1] for fields in pairs if "expired" not in fields}


class Networkd(Kind):
    """systemd-networkd's own server. It keeps its leases in memory and shows them on a message bus, here the router's.

    A static address that is there already, made by another's hand, it takes for a failure, so it gets a bare
    interface; a ``/sys`` that cannot be written to tells it that there is no udev to wait for.
    """

    name = "systemd-networkd"

    def start(self) -> None:
        self.router.run("mkdir -p /run/systemd/network /run/dbus")
        self.put("/run/systemd/network/lan.network", f"""
[Match]
Name=eth0
[Network]
Address=172.16.91.254/24
Address=172.16.91.2/24
DHCPServer=yes
[DHCPServer]
ServerAddress=172.16.91.254/24
PoolOffset={FIRST.rpartition(".")[2]}
PoolSize={int(LAST.rpartition(".")[2]) - int(FIRST.rpartition(".")[2]) + 1}
DefaultLeaseTimeSec={LEASE_S}
Router=172.16.91.2
DNS=172.16.91.2
""")  # fmt: skip
        self.router.ip("addr flush dev eth0")
        self.router.run("mount -o remount,ro /sys")
        self.router.run("dbus-daemon --system --fork --nopidfile")
        self.spawn(f"SYSTEMD_LOG_TARGET=console {NETWORKD}")

    def taken(self) -> dict[str, str]:
        link = json.loads(self.router.run("ip -j link show eth0").stdout)[0]["ifindex"]
        # An object's path has a digit at the start of a name as its code: link 2 is _32.
        where = f"/org/freedesktop/network1/link/_{ord(str(link)[0]):x}{str(link)[1:]}"
        asked = f"org.freedesktop.network1 {where} org.freedesktop.network1.DHCPServer Leases"
        leases = json.loads(self.router.run(f"busctl --system --json=short get-property {asked}").stdout)[
            "data"
        ]
        return {
            bytes(chaddr[:6]).hex(":"): ".".join(map(str, address)) for _, _, address, _, chaddr, _ in leases
        }


KINDS = (Dnsmasq, Isc, Udhcpd, Networkd)
