"""A node whose NIC is in a bridge already, with a real agent and the real shim: what these tests work with."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envctl.providers.lab_plugin import shim
from tests.lab.lan import Lan, until

ROOT = Path(__file__).parents[3]
SHIM = shim()
BRDHCPD = Path(sys.executable).with_name("brdhcpd")
BRDHCPCTL = Path(sys.executable).with_name("brdhcpctl")
STATE = "/run/state"

NOTE = {
    "cniVersion": "0.3.1",
    "name": "mycninet",
    "type": "brdhcp",
    "bridge": "mybr0",
    "ipam": {"type": "dhcp"},
}
"""The configuration of the note, with only ``type`` changed."""


@dataclass
class Answer:
    """What the shim printed, and how it ended."""

    status: int
    stdout: str

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.stdout))

    @property
    def address(self) -> str:
        """The pod's address without its prefix length."""
        return str(self.json["ips"][0]["address"]).partition("/")[0]


@dataclass
class Rig:
    """One node on one LAN. Pods are namespaces named after their container."""

    lan: Lan
    agent: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)
    shim: Path = SHIM

    def start(self, *options: str, fault: str = "", **env: str) -> None:
        """Start the agent and wait until it is ready; ``fault`` names where it will die."""
        if self.agent is not None:
            self.agent.wait(timeout=20)
        variables = {"BRDHCP_FAULT": fault, **env}
        argv = ["env", *(f"{k}={v}" for k, v in variables.items()), str(BRDHCPD), "--state-dir", STATE, "--log-format",
                "json", "--log-level", "debug", *options]  # fmt: skip
        log = f"/run/agent.{len(self.log)}.log"
        self.log.append(log)
        self.agent = self.lan.node.spawn(f"sh -c 'exec \"$@\" 2>{log}' sh " + shlex.join(argv))
        until(lambda: self.events("ready"), what="the agent is ready")

    def kill(self) -> None:
        """End the agent as the power would (SIGKILL), by the pid that it has in the node."""
        assert self.agent is not None
        for pid in self.lan.node.run("pgrep -x brdhcpd", check=False).stdout.split():
            self.lan.node.run(f"kill -KILL {pid}", check=False)
        self.agent.wait()

    def stop(self) -> int:
        """End the agent in order; its exit status."""
        assert self.agent is not None
        for pid in self.lan.node.run("pgrep -x brdhcpd").stdout.split():
            self.lan.node.run(f"kill -TERM {pid}")
        return self.agent.wait(timeout=20)

    def events(self, name: str = "", *, all_agents: bool = False) -> list[dict[str, Any]]:
        """What the agent logged: events of that name, in order."""
        text = "".join(
            self.lan.node.run(f"cat {log}", check=False).stdout
            for log in (self.log if all_agents else self.log[-1:])
        )
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [event for event in found if not name or event["event"] == name]

    def pod(self, container: str) -> str:
        """Make a sandbox; the path of its namespace."""
        self.lan.node.run(f"ip netns add {container}")
        return f"/run/netns/{container}"

    def cni(self, verb: str, container: str = "", conf: dict[str, Any] | str | None = None, *,
            shim: Path | None = None, if_name: str = "eth0", args: str = "", **env: str) -> Answer:  # fmt: skip
        """Call the plugin as a runtime does."""
        variables = {
            "CNI_COMMAND": verb, "CNI_CONTAINERID": container, "CNI_NETNS": f"/run/netns/{container}",
            "CNI_IFNAME": if_name, "CNI_PATH": "/usr/lib/cni", "CNI_ARGS": args,
            "BRDHCP_SPOOL": f"{STATE}/spool", **env,
        }  # fmt: skip
        if not container:
            variables = {
                key: value
                for key, value in variables.items()
                if key in ("CNI_COMMAND", "CNI_PATH", "BRDHCP_SPOOL")
            }
        stdin = conf if isinstance(conf, str) else json.dumps(conf or NOTE)
        ran = self.lan.node.run(str(shim or self.shim), check=False, stdin=stdin, env=variables, timeout=60)
        return Answer(ran.returncode, ran.stdout)

    def add(self, container: str, conf: dict[str, Any] | None = None, **more: Any) -> Answer:
        """A sandbox with an interface; fails when ADD fails."""
        self.pod(container)
        answer = self.cni("ADD", container, conf, **more)
        assert answer.status == 0, answer.stdout
        return answer

    def ctl(self, command: str, *, check: bool = True) -> Any:
        """``brdhcpctl … -o json``, decoded."""
        ran = self.lan.node.run(f"{BRDHCPCTL} {command} -o json --state-dir {STATE}", check=check)
        return json.loads(ran.stdout)

    def leases(self) -> list[dict[str, Any]]:
        return list(self.ctl("leases"))

    def asked(self, kind: str) -> int:
        """How many messages of that kind the server has seen, by its own log."""
        log = self.lan.router.run("cat /run/dnsmasq.log", check=False).stdout
        return sum(f" {kind}(" in line for line in log.splitlines())

    def links(self) -> set[str]:
        """The links of the node, by name."""
        return {link["ifname"] for link in json.loads(self.lan.node.run("ip -j link").stdout)}

    def nothing_left(self) -> None:
        """No port, no record, no address that the server thinks is taken."""
        assert self.links() == {"lo", "eth0", "mybr0"}
        assert self.leases() == []
        until(lambda: self.lan.server_leases() == {}, what="the server has every address back")


@contextmanager
def rig(**lan: Any) -> Iterator[Rig]:
    """A node with its NIC in ``mybr0``; no agent yet."""
    with Lan(**lan) as made:
        made.node.ip(
            f"link add mybr0 address {Lan.NODE_MAC} type bridge stp_state 0 forward_delay 0",
            "link set dev eth0 master mybr0",
            "addr flush dev eth0",
            "addr add 172.16.91.10/24 dev mybr0",
            "link set dev mybr0 up",
            "route add default via 172.16.91.2",
        )
        found = Rig(made)
        try:
            yield found
        finally:
            if found.agent is not None and found.agent.poll() is None:
                found.agent.send_signal(signal.SIGKILL)
                found.agent.wait()
