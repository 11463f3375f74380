"""The stage of a symptom: a lab of its own with one node, the reference plugins or brdhcp on it, and probes.

The reference plugins are those of the package containernetworking-plugins, as the note used them. Their DHCP
daemon is given little patience here, since it spends it in full: ``PATIENCE`` says how much, and how much it
has by itself.
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
from envctl.config import Config
from envctl.errors import EnvctlError
from envctl.node import NamespaceNode
from envctl.providers import lab_plugin
from envctl.providers.lab import Lab
from envctl.scenarios.story import NoLongerHappensError, NotBetterError, Shown

DAEMON = "/opt/cni/bin/dhcp daemon -timeout 100ms -resendmax 1s"
DAEMON_LOG = "/run/cni/dhcp.log"
DAEMON_SOCKET = "/run/cni/dhcp.sock"
PATIENCE = (
    "The daemon was started with -timeout 100ms -resendmax 1s; by itself (10 s and 62 s) it goes on for some 200 s"
    " before it says so."
)
POD = "web"
WAIT_S = 10.0


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
    """A few pings from the workstation."""

    sent: int
    answered: int
    shown: Shown

    def __str__(self) -> str:
        return f"{self.answered} of {self.sent} answered"


class Stage:
    """What a play acts on. ``node`` is the master, ``host`` the workstation on the LAN."""

    def __init__(self, lab: Lab, symptom: str) -> None:
        self.lab, self.symptom = lab, symptom
        self.config = lab.config
        self.bridge, self.nic = lab.config.bridge, lab.config.uplink.interface
        self.gateway = str(lab.config.network.gateway)
        self.node, self.host = lab.machine("master"), lab.host()

    def happens(self, true: object, expected: str, seen: object) -> None:
        """The proof of a symptom. Raises NoLongerHappensError."""
        if not true:
            raise NoLongerHappensError(self.symptom, expected, str(seen).strip() or "nothing")

    def better(self, true: object, expected: str, seen: object) -> None:
        """The proof that brdhcp ends well. Raises NotBetterError."""
        if not true:
            raise NotBetterError(self.symptom, expected, str(seen).strip() or "nothing")

    def type(
        self, command: str, *args: object, on: NamespaceNode | None = None, timeout: float = 30
    ) -> Shown:
        """Run a command and keep it with what it printed, whatever its exit status."""
        where = on or self.node
        done = where.run(command, *args, check=False, timeout=timeout)
        return Shown(where.name, done.command, (done.stdout + done.stderr).strip())

    def do(self, *lines: str) -> None:
        """``ip`` lines on the node, as a person would type them one by one."""
        self.node.run(" && ".join(f"ip {line}" for line in lines))

    def enslave(self) -> None:
        """What the note typed: a bridge, and the NIC into it, with the address left where it is."""
        self.do(f"link add {self.bridge} type bridge", f"link set {self.bridge} up")
        self.do(f"link set {self.nic} master {self.bridge}")

    def afresh(self) -> None:
        """The node as it starts: nothing of what was done to it is there any more."""
        self.node.remove(lab_plugin.netconf_path(self.config))
        self.node = self.lab.reboot(self.node)

    def reference(self, **keys: Any) -> None:
        """The reference bridge and dhcp plugins are the node's network, and their daemon listens."""
        conf = {"cniVersion": "0.3.1", "name": "mycninet", "type": "bridge", "bridge": self.bridge}
        lab_plugin.install_files(self.node)
        self._network({**conf, **keys, "ipam": {"type": "dhcp"}})
        self.node.run("mkdir -p /run/cni")
        self.node.spawn(DAEMON, log=DAEMON_LOG)
        self.wait(
            lambda: self.node.outside(DAEMON_SOCKET).exists(),
            "the dhcp daemon of the reference plugins listens",
        )

    def brdhcp(self, *, start: bool = True, acquire_s: float = 10, **keys: Any) -> None:
        """brdhcp is the node's network, with the same bridge."""
        lab_plugin.install_files(self.node)
        conf = {**self.config.netconf(), **keys, "ipam": {"type": "dhcp", "acquireTimeout": acquire_s}}
        self._network(conf)
        if start:
            self.lab.start_agent(self.node)

    def _network(self, conf: dict[str, Any]) -> None:
        self.node.put(lab_plugin.netconf_path(self.config), (json.dumps(conf, indent=2) + "\n").encode())

    def add(self, pod: str = POD) -> Attempt:
        """Add a pod and say how it went."""
        start = time.monotonic()
        try:
            made = self.lab.pod_add(self.node, pod)
        except cni.PluginError as error:
            return Attempt(time.monotonic() - start, "", error.code, error.msg, error.details)
        return Attempt(time.monotonic() - start, made.address, 0, "")

    @contextlib.contextmanager
    def adding(self, pod: str = POD) -> Iterator[None]:
        """An ADD that is under way meanwhile; not waited for (it ends with the lab at the latest)."""
        thread = threading.Thread(target=self._add_quietly, args=(pod,), daemon=True)
        thread.start()
        yield

    def _add_quietly(self, pod: str) -> None:
        with contextlib.suppress(EnvctlError, OSError):
            self.lab.pod_add(self.node, pod)

    def daemon_log(self) -> list[str]:
        """What the reference daemon said, without dates and container ids."""
        lines = self.node.get(DAEMON_LOG).decode(errors="replace").splitlines()
        short = [re.sub(r"^\S+ \S+ ", "", line) for line in lines]
        return [re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", line) for line in short]

    def probe(self, count: int = 3) -> Probe:
        """Pings from the workstation to the node's address."""
        shown = self.type("ping -n -c %s -i 0.05 -W 0.3 %s", count, self.node.address, on=self.host)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", shown.output)
        if found is None:
            raise EnvctlError("ping did not say what it saw", cause=shown.output)
        lines = [line for line in shown.output.splitlines() if "packets transmitted" in line]
        return Probe(int(found[1]), int(found[2]), Shown(shown.where, shown.command, "\n".join(lines)))

    def forget_neighbours(self) -> None:
        """Empty the ARP tables of workstation and node, which a quiet minute does by itself."""
        for machine in (self.host, self.node):
            machine.run("ip neigh flush nud all dev %s", self.nic if machine is self.node else "eth0")

    def neighbour(self, address: str) -> str:
        """The MAC that the workstation has for an address, or ``""``."""
        found = self.host.run("ip -j neigh show %s dev eth0", address).json()
        return str(found[0].get("lladdr", "")) if found else ""

    def mac(self, device: str, on: NamespaceNode | None = None) -> str:
        """The MAC of an interface."""
        return (on or self.node).outside(f"/sys/class/net/{device}/address").read_text().strip()

    def reverse_path_filter(self, value: int) -> None:
        """Set rp_filter on the node for all interfaces; 1 is what CentOS 7 starts with."""
        for scope in ("all", "default", self.nic, self.bridge):
            self.node.run("sysctl -qw %s", f"net.ipv4.conf.{scope}.rp_filter={value}")

    def migrate(self) -> dict[str, Any]:
        """The uplink migration, confirmed from the workstation."""
        return uplink.migrate(self.node, self.host, self.config)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Until the condition is true. Raises EnvctlError after ``WAIT_S`` seconds."""
        deadline = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > deadline:
                raise EnvctlError(f"{self.symptom}: it did not come true within {WAIT_S:g} s that {what}")
            time.sleep(0.005)


@contextlib.contextmanager
def stage(name: str, symptom: str) -> Iterator[Stage]:
    """A lab of that name for one symptom; what an interrupted run left of it is removed first, all of it at the end."""
    lab = Lab(Config.model_validate({"name": name, "nodes": {"workers": 0}}))
    lab.destroy()
    try:
        lab.create()
        yield Stage(lab, symptom)
    finally:
        lab.destroy()
