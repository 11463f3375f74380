"""A node on a LAN, its uplink migrated by the real command, and everything about its network to compare."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab.lan import Lan, until

BRDHCPCTL = Path(sys.executable).with_name("brdhcpctl")
STATE = "/run/state"
HERE = Path(__file__).parent


def uplink(lan: Lan, words: str, *, crash_after: int | None = None, check: bool = True) -> dict[str, Any]:
    """``brdhcpctl uplink WORDS -o json`` on the node; an empty answer when it was killed."""
    env = {} if crash_after is None else {"BRDHCP_CRASH_AFTER": str(crash_after)}
    ran = lan.node.run(f"{BRDHCPCTL} uplink {words} -o json --state-dir {STATE}", check=False, env=env)
    if check and ran.returncode:
        raise AssertionError(f"uplink {words}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return dict(json.loads(ran.stdout)) if ran.stdout else {}


def everything(lan: Lan) -> dict[str, Any]:
    """Links, addresses with flags, routes of all tables, rules, sysctls; lifetimes and indexes left out."""
    node = lan.node
    told = ("address", "mtu", "master", "operstate", "flags", "promiscuity")
    links = json.loads(node.run("ip -j -d addr").stdout)
    return {
        "links": {
            link["ifname"]: {key: link.get(key) for key in told}
            for link in links
        },
        "addresses": {link["ifname"]: [_plain(address) for address in link["addr_info"]] for link in links},
        "routes": sorted(
            _route(line)
            for family in (4, 6)
            for line in node.run(f"ip -{family} route show table all").stdout.splitlines()
        ),
        "rules": [line for family in (4, 6) for line in node.run(f"ip -{family} rule").stdout.splitlines()],
        "sysctls": node.run("sh -c 'cd /proc/sys/net; grep -r . ipv4/conf/eth0 ipv4/conf/all ipv6/conf/eth0 2>/dev/null"
                            " | grep -v stable_secret | sort'").stdout.splitlines(),
    }  # fmt: skip


def _plain(address: dict[str, Any]) -> dict[str, Any]:
    """Without the remaining seconds; whether there is an end stays."""
    ends = address.get("valid_life_time", 0) < 2**32 - 1
    return {
        **{k: v for k, v in address.items() if not k.endswith("life_time") and k != "index"},
        "ends": ends,
    }


def _route(line: str) -> str:
    return re.sub(r"expires \d+sec", "expires", line).strip()


def settled(lan: Lan) -> None:
    """No address is tentative any more: what follows is not disturbed by duplicate address detection."""
    until(lambda: "tentative" not in lan.node.run("ip addr").stdout, what="no address is tentative")


def same(before: dict[str, Any], lan: Lan) -> None:
    """Everything is as it was; says what is not."""
    now = everything(lan)
    for part, old in before.items():
        assert now[part] == old, part


def by_dhclient(lan: Lan, command: str) -> subprocess.Popen[str]:
    """The node's address comes from the LAN's server, by this dhclient, and an agent runs, which is returned."""
    node = lan.node
    # dhclient's script writes to /etc: on a copy that vanishes with the machine
    copy = "lowerdir=/etc,upperdir=/run/up,workdir=/run/work"
    node.run(f"sh -c 'mkdir /run/up /run/work; mount -t overlay -o {copy} etc /etc'")
    node.ip("addr flush dev eth0")
    node.run("sh -c 'mount -t tmpfs lib /var/lib; mkdir /var/lib/dhclient /var/lib/dhcp'")
    node.run(command)
    agent = node.spawn(f"{BRDHCPCTL.with_name('brdhcpd')} --state-dir {STATE} --log-format json")
    until(
        lambda: node.run("test -S /run/brdhcp/agent.sock", check=False).returncode == 0,
        what="the agent listens",
    )
    return agent


class Probe:
    """A thousand pings a second from the LAN to the node, as long as the block lasts."""

    def __init__(self, lan: Lan, target: str = "172.16.91.10") -> None:
        self._lan = lan
        self._target = target
        self.sent = self.lost = 0
        self.longest_gap_ms = 0.0

    def __enter__(self) -> Probe:
        self._lan.host.run("sysctl -qw net.ipv4.ping_group_range='0 0'")
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = self._lan.host.spawn(f"/usr/bin/python3 {HERE / 'pinger.py'} {self._target}", **pipes)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *unused: object) -> None:
        out, _ = self._process.communicate("stop\n", timeout=10)
        said = json.loads(out)
        self.sent, self.lost, self.longest_gap_ms = said["sent"], said["lost"], said["longest_gap_ms"]


class Announcer:
    """The LAN's router announces itself over IPv6, as long as the block lasts: when asked, and by ``again``."""

    def __init__(self, lan: Lan, prefix: str = "fd91::", lifetime_s: int = 600) -> None:
        until(
            lambda: "tentative" not in lan.router.run("ip addr").stdout, what="the router's address is ready"
        )
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = f"/usr/bin/python3 {HERE / 'announce.py'} eth0 {prefix} {lifetime_s}"
        self._process = lan.router.spawn(command, **pipes)

    def __enter__(self) -> Announcer:
        return self

    def again(self) -> None:
        """One more advertisement, now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)


class Stream:
    """A TCP connection from the LAN to the node over which a line is echoed back, again and again."""

    SERVER = (
        "import socket\n"
        "s = socket.create_server(('0.0.0.0', 7777)); print('ready', flush=True)\n"
        "c, _ = s.accept()\n"
        "while data := c.recv(4096): c.sendall(data)\n"
    )
    CLIENT = (
        "import socket, sys\n"
        "c = socket.create_connection(('172.16.91.10', 7777)); n = 0; print('ready', flush=True)\n"
        "c.settimeout(5)\n"
        "import select\n"
        "while not select.select([sys.stdin], [], [], 0.002)[0]:\n"
        "    c.sendall(b'x' * 100); assert len(c.recv(100, socket.MSG_WAITALL)) == 100; n += 1\n"
        "print(n)\n"
    )

    def __init__(self, lan: Lan) -> None:
        self._lan = lan
        self.echoed = 0

    def __enter__(self) -> Stream:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._server = self._lan.node.spawn(
            f"/usr/bin/python3 -c {json.dumps(self.SERVER)}".replace("\\n", "\n"), **pipes
        )
        assert self._server.stdout is not None and self._server.stdout.readline() == "ready\n"
        self._client = self._lan.host.spawn(
            f"/usr/bin/python3 -c {json.dumps(self.CLIENT)}".replace("\\n", "\n"), **pipes
        )
        assert self._client.stdout is not None and self._client.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_why: object) -> None:
        said, _error = self._client.communicate("stop\n", timeout=10)
        self.echoed = int(said or 0)
        self._server.communicate(timeout=10)
