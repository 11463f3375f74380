"""The node's own DHCP client: finding it, reading what it knows, ending it without harm, starting it again.

Ending means SIGKILL: asked politely, dhclient runs its script with STOP, which takes the address off the interface.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from brdhcp.errors import InvalidNamespace, StoreFailure
from brdhcp.netlink import netns

KNOWN = ("dhclient",)
"""Clients that are ended and started again."""
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
                and netns.identity(proc / f"{pid}/ns/net") == here
            ):
                return Client(name=Path(argv[0]).name, pid=pid, started=started(pid, proc), argv=argv)
    return None


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


def lease_of(client: Client, nic: str, address: str) -> dict[str, str | int | float | None]:
    """What dhclient wrote down about its lease of ``address`` (dhclient.leases(5)); empty when it wrote nothing."""
    for path in _lease_files(client, nic):
        with contextlib.suppress(OSError):
            blocks = re.findall(
                r"^lease \{(.*?)^\}", path.read_text(errors="replace"), re.MULTILINE | re.DOTALL
            )
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


def _argv(proc: Path, pid: int) -> tuple[str, ...]:
    words = (proc / f"{pid}/cmdline").read_bytes().split(b"\0")
    return tuple(word.decode(errors="surrogateescape") for word in words if word)


def _wait(handle: int) -> None:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(5000)
