"""The stage of a symptom: a node that was never migrated, the reference plugins or brdhcp on it, and probes.

The reference plugins are those of the package containernetworking-plugins, as the note used them. Their DHCP
daemon is given little patience here, since it spends it in full: ``PATIENCE`` says how much, and how much it
has by itself. Where all of it is, is a provider's matter (:mod:`envctl.providers.scene`).
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from envctl import cni, uplink
from envctl.errors import EnvctlError
from envctl.node import Node
from envctl.providers.base import Provider
from envctl.providers.scene import Scene
from envctl.scenarios.story import NoLongerHappensError, NotBetterError, Shown
from envctl.wait import until

DAEMON_LOG = "/run/cni/dhcp.log"
DAEMON_SOCKET = "/run/cni/dhcp.sock"
PATIENCE = "The daemon was started with {daemon}; by itself (10 s and 62 s) it goes on for some 200 s before saying so."
POD = "web"
PING = "ping -n -c %s -i 0.05 -W %s %s"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ADD: how long it took, and the address or the error (code and message) that it ended with."""

    seconds: float
    address: str
    code: int
    error: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """A few pings."""

    sent: int
    answered: int
    shown: Shown

    def __str__(self) -> str:
        return f"{self.answered} of {self.sent} answered"


class Stage:
    """What a play acts on. ``node`` is the master, ``host`` the workstation on the LAN."""

    def __init__(self, scene: Scene, symptom: str) -> None:
        self.scene, self.symptom = scene, symptom
        self.config, self.patience, self.host = scene.config, scene.patience, scene.host
        self.bridge, self.nic = self.config.bridge, self.config.uplink.interface
        self.gateway = str(self.config.network.gateway)
        self.netconf = f"{scene.conf_dir}/10-{self.config.plugin.network}.conf"
        self._known = {lease.mac for lease in scene.leases()}
        self._adding: list[threading.Thread] = []

    @property
    def node(self) -> Node:
        """The node, by the way on which it is reached now."""
        return self.scene.node

    def happens(self, true: object, expected: str, seen: object) -> None:
        """The proof of a symptom. Raises NoLongerHappensError."""
        if not true:
            raise NoLongerHappensError(self.symptom, expected, str(seen).strip() or "nothing")

    def better(self, true: object, expected: str, seen: object) -> None:
        """The proof that brdhcp ends well. Raises NotBetterError."""
        if not true:
            raise NotBetterError(self.symptom, expected, str(seen).strip() or "nothing")

    def type(self, command: str, *args: object, on: Node | None = None, timeout: float = 60) -> Shown:
        """Run a command and keep it with what it printed, whatever its exit status."""
        where = on or self.node
        done = where.run(command, *args, check=False, timeout=timeout)
        return Shown(where.name, done.command, (done.stdout + done.stderr).strip())

    def do(self, *lines: str) -> None:
        """``ip`` lines on the node, as a person would type them one by one."""
        self.node.run(" && ".join(f"ip {line}" for line in lines))

    def enslave(self) -> None:
        """What the note typed: a bridge, and the NIC into it, with the address left where it is."""
        self.scene.enslave()

    def afresh(self) -> None:
        """The node as it starts: nothing of what was done to it is there any more."""
        self.scene.afresh()
        for thread in self._adding:
            thread.join(self.patience.wait_s)

    def reference(self, **keys: Any) -> None:
        """The reference bridge and dhcp plugins are the node's network, and their daemon listens."""
        network = self.config.plugin.network
        conf = {"cniVersion": "0.3.1", "name": network, "type": "bridge", "bridge": self.bridge}
        self.scene.install()
        self._network({**conf, **keys, "ipam": {"type": "dhcp"}})
        self.node.run("mkdir -p /run/cni")
        self.node.spawn(f"{self.scene.plugins}/dhcp daemon {self.patience.daemon}", log=DAEMON_LOG)
        self.wait(
            lambda: not self.node.run("test -S %s", DAEMON_SOCKET, check=False).exit_status,
            "the dhcp daemon of the reference plugins listens",
        )

    def brdhcp(self, *, start: bool = True, acquire_s: float = 10, **keys: Any) -> None:
        """brdhcp is the node's network, with the same bridge."""
        self.scene.install()
        conf = {**self.config.netconf(), **keys, "ipam": {"type": "dhcp", "acquireTimeout": acquire_s}}
        self._network(conf)
        if start:
            self.scene.start_agent()

    def _network(self, conf: dict[str, Any]) -> None:
        self.node.put(self.netconf, (json.dumps(conf, indent=2) + "\n").encode())

    def new_leases(self) -> list[str]:
        """The addresses in the DHCP server's books that were not there at the beginning."""
        return [lease.address for lease in self.scene.leases() if lease.mac not in self._known]

    def add(self, pod: str = POD) -> Attempt:
        """Add a pod and say how it went."""
        start = time.monotonic()
        try:
            made = self.scene.pod_add(pod)
        except cni.PluginError as error:
            return Attempt(time.monotonic() - start, "", error.code, error.msg, error.details)
        return Attempt(time.monotonic() - start, made.address, 0, "")

    @contextlib.contextmanager
    def adding(self, pod: str = POD) -> Iterator[None]:
        """An ADD that is under way meanwhile; it ends with :meth:`afresh` at the latest."""
        thread = threading.Thread(target=self._add_quietly, args=(pod,), daemon=True)
        self._adding.append(thread)
        thread.start()
        yield

    def _add_quietly(self, pod: str) -> None:
        with contextlib.suppress(EnvctlError, OSError):
            self.scene.pod_add(pod)

    def daemon_log(self) -> list[str]:
        """What the reference daemon said, without dates and container ids."""
        lines = self.node.get(DAEMON_LOG).decode(errors="replace").splitlines()
        short = [re.sub(r"^\S+ \S+ ", "", line) for line in lines]
        return [re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", line) for line in short]

    def probe(self, count: int = 3, *, address: str = "", on: Node | None = None) -> Probe:
        """Pings to an address (the node's), from the workstation or another machine."""
        wanted = address or self.node.address
        shown = self.type(PING, count, f"{self.patience.ping_s:g}", wanted, on=on or self.host)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", shown.output)
        if found is None:
            raise EnvctlError("ping did not say what it saw", cause=shown.output)
        lines = [line for line in shown.output.splitlines() if "packets transmitted" in line]
        return Probe(int(found[1]), int(found[2]), Shown(shown.where, shown.command, "\n".join(lines)))

    def remember_neighbours(self) -> None:
        """Workstation and node know each other's MAC, as two machines do that have just talked."""
        nic = self.node.run("cat %s", f"/sys/class/net/{self.nic}/address").stdout.strip()
        found = self.host.run("ip -j link show dev eth0").json()
        known = "ip neigh replace %s lladdr %s dev %s nud reachable"
        self.host.run(known, self.node.address, nic, "eth0")
        self.node.run(known, self.host.address, found[0]["address"], self.nic)

    def forget_neighbours(self, *, host: bool = True) -> None:
        """Empty the ARP tables of node and workstation, which a quiet minute does by itself."""
        if host:
            self.host.run("ip -4 neigh flush nud all dev eth0")
        self.node.run("ip -4 neigh flush nud all dev %s", self.nic)

    def neighbour(self, address: str) -> str:
        """The MAC that the workstation has for an address, or ``""``."""
        found = self.host.run("ip -j neigh show %s dev eth0", address).json()
        return str(found[0].get("lladdr", "")) if found else ""

    def reverse_path_filter(self, value: int) -> None:
        """Set rp_filter on the node for all interfaces; 1 is what CentOS 7 starts with."""
        scopes = "all", "default", self.nic, self.bridge
        self.node.run(
            "sysctl -qw " + " ".join(f"net.ipv4.conf.{scope}.rp_filter={value}" for scope in scopes)
        )

    def migrate(self) -> dict[str, Any]:
        """The uplink migration, confirmed from the workstation."""
        return uplink.migrate(self.node, self.host, self.config, remember=False)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until the condition is true. Raises EnvctlError when the scene's patience is at its end."""
        late = f"{self.symptom}: it did not come true within {self.patience.wait_s:g} s that {what}"
        until(condition, within=self.patience.wait_s, otherwise=lambda: EnvctlError(late), pause=0.005)


@contextlib.contextmanager
def stage(provider: Provider, symptom: str) -> Iterator[Stage]:
    """A stage for one symptom; everything is as it was at the end."""
    with provider.scene() as scene:
        yield Stage(scene, symptom)
