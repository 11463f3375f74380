"""Machines and a LAN for one test, in namespaces that die with the test process.

A ``Machine`` is a child process holding its own network, mount, UTS and PID namespace. It is killed by the kernel when
its parent dies (PR_SET_PDEATHSIG), and with it go its processes, links and mounts: a test that is killed half way
leaves nothing, and no name of ours is ever visible outside.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType


def until(condition: Callable[[], object], *, within: float = 20.0, what: str = "the condition") -> None:
    """Wait until ``condition()`` is true, looking every 5 ms; fail by name after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within} s")
        select.select((), (), (), 0.005)


class Machine:
    """A machine of the test's own: ``run`` a command in it, ``spawn`` a process that lives as long as the test."""

    def __init__(self, name: str) -> None:
        self.name = name
        holding = "unshare --net --mount --uts --pid --fork --kill-child --mount-proc"
        ready = (
            "mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && mkdir -p /run/netns"
            ' && hostname "$0" && ip link set lo up && echo ready && exec sleep infinity'
        )
        self._unshare = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *holding.split(), "sh", "-c", ready, name],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != "ready\n":
            raise RuntimeError(f"machine {name}: namespaces could not be made (are you root?)")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self.pid = int(children.split()[0])

    def argv(self, *argv: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--", *argv]

    def run(self, command: str, *, check: bool = True, stdin: str = "", env: dict[str, str] | None = None,
            timeout: float = 30) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run one command (no shell) in the machine; its output is part of the error when it fails."""
        done = subprocess.run(
            self.argv(*shlex.split(command)), input=stdin, capture_output=True, text=True, timeout=timeout,
            env=None if env is None else {**os.environ, **env}, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(
                f"{self.name}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def spawn(self, command: str, **popen: object) -> subprocess.Popen[str]:
        """Start a process that lives in the machine; it dies with the machine at the latest."""
        return subprocess.Popen(self.argv(*shlex.split(command)), text=True, **popen)  # type: ignore[call-overload, no-any-return]

    def ip(self, *lines: str) -> None:
        """Run ``ip`` for each line, as one batch."""
        self.run("ip -batch -", stdin="\n".join(lines) + "\n")

    def close(self) -> None:
        if self._unshare.poll() is None:
            self._unshare.kill()
            self._unshare.wait()
        assert self._unshare.stdout is not None
        self._unshare.stdout.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()


def cable(a: Machine, a_dev: str, b: Machine, b_dev: str, *, a_mac: str = "", b_mac: str = "") -> None:
    """Join two machines with a veth pair, both ends up."""
    mac = {side: f"address {mac}" if mac else "" for side, mac in (("a", a_mac), ("b", b_mac))}
    link = f"ip link add {a_dev} {mac['a']} type veth peer name {b_dev} {mac['b']} netns {b.pid}"
    subprocess.run(["nsenter", "-t", str(a.pid), "-n", "--", *shlex.split(link)], check=True)
    a.ip(f"link set dev {a_dev} up")
    b.ip(f"link set dev {b_dev} up")


class Lan:
    """172.16.91.0/24: a switch, the workstation .1, a router .2 whose dnsmasq serves DHCP from .254, a node .10.

    ``dnsmasq`` adds options to the server (``--dhcp-range`` replaces the one below); ``serve=False`` leaves it out.
    """

    NODE_MAC = "02:00:5e:00:00:10"

    def __init__(self, *, lease_s: int = 120, dnsmasq: tuple[str, ...] = (), serve: bool = True) -> None:
        self._stack = contextlib.ExitStack()
        try:
            self.switch, self.host, self.router, self.node = (
                self._stack.enter_context(Machine(name)) for name in ("switch", "host", "router", "master")
            )
            self.switch.ip(
                "link add lan type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set lan up"
            )
            for machine, mac in ((self.host, ""), (self.router, ""), (self.node, self.NODE_MAC)):
                cable(self.switch, f"to-{machine.name}", machine, "eth0", b_mac=mac)
                self.switch.ip(f"link set dev to-{machine.name} master lan")
            self.host.ip("addr add 172.16.91.1/24 dev eth0", "route add default via 172.16.91.2")
            self.router.ip("addr add 172.16.91.254/24 dev eth0", "addr add 172.16.91.2/24 dev eth0")
            self.node.ip("addr add 172.16.91.10/24 brd + dev eth0", "route add default via 172.16.91.2")
            self.server: subprocess.Popen[str] | None = None
            if serve:
                self.start_dnsmasq(lease_s, dnsmasq)
        except BaseException:
            self._stack.close()
            raise

    LEASES = "/run/dnsmasq.leases"

    def start_dnsmasq(self, lease_s: int = 120, extra: tuple[str, ...] = (), *, ping: bool = False,
                      before: tuple[str, ...] = ()) -> None:  # fmt: skip
        """Start the DHCP server on the router and wait until it listens.

        ``ping``: it tries addresses by ping first. ``before``: what starts it, such as ``env`` with variables.
        """
        argv = [
            *before, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--bind-interfaces",
            "--interface=eth0", "--dhcp-authoritative", f"--dhcp-leasefile={self.LEASES}", "--user=root",
            "--pid-file=/run/dnsmasq.pid", "--log-dhcp", "--log-facility=/run/dnsmasq.log",
            "--dhcp-option=option:router,172.16.91.2", "--dhcp-option=option:dns-server,172.16.91.2", *extra,
        ]  # fmt: skip
        if not ping:
            argv.append("--no-ping")
        if not any(option.startswith("--dhcp-range") for option in extra):
            argv.append(f"--dhcp-range=172.16.91.128,172.16.91.253,{lease_s}")
        self.server = self.router.spawn(shlex.join(argv))
        until(lambda: ":67 " in self.router.run("ss -Hlun").stdout, what="dnsmasq listening on port 67")

    def server_leases(self) -> dict[str, str]:
        """What the server itself thinks is taken: MAC to address."""
        text = self.router.run(f"cat {self.LEASES}", check=False).stdout
        return {fields[1]: fields[2] for line in text.splitlines() if len(fields := line.split()) >= 5}

    def close(self) -> None:
        self._stack.close()
        if self.server is not None:
            self.server.wait()

    def __enter__(self) -> Lan:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()
