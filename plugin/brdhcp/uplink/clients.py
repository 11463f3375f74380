"""The node's own DHCP client: finding it, reading what it knows, ending it without harm, starting it again.

Ending means SIGKILL: asked politely, dhclient runs its script with STOP, which takes the address off the interface.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from brdhcp.errors import InvalidNamespace, StoreFailure
from brdhcp.netlink import netns
from brdhcp.uplink import identity

KNOWN = ("dhclient",)
"""Clients that are ended and started again."""
FOREIGN = ("dhcpcd", "udhcpc")
"""Clients that are neither understood nor started again."""
REFUSED = {
    "dhcpcd": "dhcpcd",
    "udhcpc": "udhcpc",
    "systemd-networkd": "systemd-networkd",
    "NetworkManager": "NetworkManager",
}
"""Clients and managers that are not handled yet and would put the address back on the NIC: process name to name."""
LEASE_FILES = (
    "/var/lib/dhcp/dhclient.{nic}.leases",
    "/var/lib/dhcp/dhclient.leases",
    "/var/lib/dhclient/dhclient.leases",
    "/var/lib/dhclient/dhclient--{nic}.lease",
)
CONFIGURATIONS = ("/etc/dhcp/dhclient.conf", "/etc/dhclient.conf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A DHCP client at work on one interface."""

    name: str
    pid: int
    started: int
    """Start time in clock ticks since boot (proc(5), stat field 22)."""
    argv: tuple[str, ...]


def find(nic: str, proc: Path = Path("/proc")) -> Client | None:
    """The client of ``KNOWN`` that works on ``nic`` in our own network namespace."""
    here = netns.identity("/proc/self/ns/net")
    for pid in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()):
        with contextlib.suppress(OSError, ValueError, InvalidNamespace):
            argv = _argv(proc, pid)
            if (
                argv
                and Path(argv[0]).name in KNOWN
                and nic in argv[1:]
                and "-6" not in argv
                and netns.identity(proc / f"{pid}/ns/net") == here
            ):
                return Client(name=Path(argv[0]).name, pid=pid, started=started(pid, proc), argv=argv)
    return None


def unhandled(nic: str, links: Collection[str], proc: Path = Path("/proc")) -> tuple[str, ...]:
    """DHCP clients in our own namespace that keep an address on ``nic`` and are not understood, as their command lines.

    ``links`` are the names of all links: a client that names none of them works on every one.
    """
    here = netns.identity("/proc/self/ns/net")
    found = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, InvalidNamespace):
            argv = _argv(proc, int(entry.name))
            name = next((known for known in (*KNOWN, *FOREIGN) if known in map(_program, argv[:2])), "")
            named = [word for word in argv[1:] if word in links]
            ours = name in KNOWN and "-6" not in argv and nic in named
            on_it = bool(name) and not ours and (nic in named or not named)
            if on_it and netns.identity(entry / "ns/net") == here:
                found.add(shlex.join(argv))
    return tuple(sorted(found))


def _program(word: str) -> str:
    return Path(word.removesuffix(":")).name


def others(proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Names of ``REFUSED`` programs that run in our own network namespace."""
    here = netns.identity("/proc/self/ns/net")
    found = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, InvalidNamespace):
            name = (entry / "comm").read_text().strip()
            for known, said in REFUSED.items():
                if name == known[:15] and netns.identity(entry / "ns/net") == here:
                    found.add(said)
    return tuple(sorted(found))


def started(pid: int, proc: Path = Path("/proc")) -> int:
    """When the process was started, in clock ticks since boot. Raises OSError when there is none."""
    return int((proc / f"{pid}/stat").read_text().rpartition(")")[2].split()[19])


def stop(pid: int, begun: int) -> None:
    """End exactly that process, if it still runs, and wait until it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if started(pid) == begun:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            _wait(handle)
    except (OSError, ValueError):
        return
    finally:
        os.close(handle)


def start(nic: str, argv: tuple[str, ...]) -> None:
    """Start the client again as it was, unless one works on ``nic`` already. Raises ``StoreFailure``.

    Under systemd it gets a unit of its own, or it would end together with whoever rolls back.
    """
    if find(nic) is not None:
        return
    command = list(argv)
    if Path("/run/systemd/system").is_dir() and shutil.which("systemd-run"):
        command = ["systemd-run", "--quiet", "--collect", "--service-type=forking", *argv]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreFailure(
            f"the node's DHCP client was not started again: {error}", f"start it by hand: {' '.join(argv)}"
        ) from error
    if ran.returncode:
        raise StoreFailure(
            f"the node's DHCP client did not start again: exit status {ran.returncode}: {ran.stderr.strip()[-300:]}",
            f"start it by hand: {' '.join(argv)}",
        )


def lease_of(client: Client, nic: str, address: str, mac: str) -> dict[str, str | int | float | None]:
    """What dhclient tells the server about itself, and what it wrote down about its lease of ``address``
    (dhclient.leases(5))."""
    texts = [text for path in _lease_files(client, nic) if (text := _text(path, "latin-1"))]
    configuration = next((text for path in _configuration(client) if (text := _text(path))), "")
    leases = next((text for text in texts if "default-duid" in text), "")
    own = socket.gethostname().partition(".")[0]
    who: dict[str, str | int | float | None] = {
        "client_id": identity.client_id(client.argv, configuration, leases, mac).hex(),
        "hostname": identity.host_name(client.argv, configuration, own),
    }
    return {**who, **_written(texts, nic, address)}


def _written(texts: Iterable[str], nic: str, address: str) -> dict[str, str | int | float | None]:
    for text in texts:
        blocks = re.findall(r"^lease \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
        for block in reversed(blocks):
            if f"fixed-address {address};" in block and f'interface "{nic}";' in block:
                return _facts(block)
    return {}


def _facts(block: str) -> dict[str, str | int | float | None]:
    def said(pattern: str) -> str:
        match = re.search(pattern, block)
        return match[1] if match else ""

    facts: dict[str, str | int | float | None] = {"server": said(r"option dhcp-server-identifier ([\d.]+);")}
    if seconds := said(r"option dhcp-lease-time (\d+);"):
        facts["lease_seconds"] = int(seconds)
    if identifier := said(r"option dhcp-client-identifier ([0-9a-f:]+);"):
        facts["client_id"] = "".join(octet.zfill(2) for octet in identifier.split(":"))
    if ends := said(r"expire \d (\d+/\d+/\d+ \d+:\d+:\d+);"):
        facts["expires"] = float(calendar.timegm(time.strptime(ends, "%Y/%m/%d %H:%M:%S")))
    return facts


def _lease_files(client: Client, nic: str) -> list[Path]:
    named = [client.argv[at + 1] for at, word in enumerate(client.argv[:-1]) if word == "-lf"]
    root = Path(f"/proc/{client.pid}/root")
    return [root / path.format(nic=nic).lstrip("/") for path in (*named, *LEASE_FILES)]


def _configuration(client: Client) -> list[Path]:
    named = [client.argv[at + 1] for at, word in enumerate(client.argv[:-1]) if word == "-cf"]
    root = Path(f"/proc/{client.pid}/root")
    return [root / path.lstrip("/") for path in (*named, *CONFIGURATIONS)]


def _text(path: Path, encoding: str = "utf-8") -> str:
    try:
        return path.read_text(encoding, errors="replace")
    except OSError:
        return ""


def _argv(proc: Path, pid: int) -> tuple[str, ...]:
    words = (proc / f"{pid}/cmdline").read_bytes().split(b"\0")
    return tuple(word.decode(errors="surrogateescape") for word in words if word)


def _wait(handle: int) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(5000)
