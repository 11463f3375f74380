"""One LAN, one node, one contender: wide enough for thousands of leases, with a driver inside the node."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.lan import Lan, Machine, until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STATE = "/run/state"
"""On the disk of this machine, as a node's would be, not in memory as the rest of a lab."""
RANGE = "172.16.96.1,172.16.127.254,255.255.0.0"


@dataclass
class BenchLab:
    """A node with its NIC in ``mybr0``, and a driver in it."""

    lan: Lan
    driver: subprocess.Popen[str]
    daemons: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def node(self) -> Machine:
        return self.lan.node

    def order(self, **order: Any) -> dict[str, Any]:
        """Let the driver do something; what it answers."""
        assert self.driver.stdin is not None
        assert self.driver.stdout is not None
        self.driver.stdin.write(json.dumps(order) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        if not line:
            raise RuntimeError("the driver ended; see its messages above")
        return dict(json.loads(line))

    def pods(self, names: list[str], verb: str = "add") -> None:
        self.order(do="pods", names=names, verb=verb)

    def start(self, command: str, socket: str) -> subprocess.Popen[str]:
        """Start a daemon in the node; returns when ``socket`` takes connections."""
        daemon = self.node.spawn(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.daemons.append(daemon)
        until(
            lambda: socket in self.node.run("ss -Hlx").stdout, within=20, what=f"somebody listens at {socket}"
        )
        return daemon

    @staticmethod
    def pid(daemon: subprocess.Popen[str]) -> int:
        """The daemon itself: what ``start`` gave is the process that entered the node for it."""
        return int(Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()[0])

    def taken(self) -> int:
        """How many addresses the server thinks are taken."""
        return len(self.lan.server_leases())

    def asked(self, kind: str) -> int:
        """How many messages of that kind the server has seen, by its own log."""
        done = self.lan.router.run(f"grep -c ' {kind}(' /run/dnsmasq.log", check=False)
        return int(done.stdout or 0)


def _folder() -> Path:
    folder = ROOT / "build/bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def bench_lab(*, lease_s: int = 3600, ping: bool = False, scope: str = RANGE) -> Iterator[BenchLab]:
    """``ping``: the server asks for an address first by ping, as dnsmasq does by default."""
    with ExitStack() as stack:
        # Before the machines, so that it goes after them: an agent that is still writing ends with its machine.
        disk = stack.enter_context(tempfile.TemporaryDirectory(dir=_folder()))
        lan = stack.enter_context(Lan(serve=False))
        for machine, address in ((lan.router, "172.16.91.254"), (lan.host, "172.16.91.1")):
            machine.ip("addr flush dev eth0", f"addr add {address}/16 dev eth0")
        lan.router.ip("addr add 172.16.91.2/16 dev eth0")
        lan.node.ip(
            f"link add mybr0 address {Lan.NODE_MAC} type bridge stp_state 0 forward_delay 0",
            "link set dev eth0 master mybr0", "addr flush dev eth0", "addr add 172.16.91.10/16 dev mybr0",
            "link set dev mybr0 up",
        )  # fmt: skip
        lan.start_dnsmasq(lease_s, (f"--dhcp-range={scope},{lease_s}", "--dhcp-lease-max=8000"), ping=ping)
        lan.node.run(f"sh -c 'mkdir {STATE}; mount --bind {disk} {STATE}'")
        argv = lan.node.argv("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.bench.driver")
        driver = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        lab = BenchLab(lan, driver)
        try:
            yield lab
        finally:
            for process in (driver, *lab.daemons):
                process.kill()
                process.wait()
            for pipe in (driver.stdin, driver.stdout):
                if pipe is not None:
                    pipe.close()
