"""Making the migration outlive a reboot, in the words of whatever configures the node's network.

Files are written at ``confirm`` and at no other time, and their former content is in the journal before that: a power
cut before the confirmation finds the node's configuration untouched, one after it finds all of it or the former one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from brdhcp.errors import StoreFailure, UplinkRefused
from brdhcp.netlink.observe import Snapshot
from brdhcp.store import files as store_files

CHOICES = ("auto", "none", "ifupdown", "network-scripts")
Files = list[tuple[Path, str]]


class Keeper:
    """Keeps nothing: after a reboot the node is as before the migration."""

    name = "none"

    def __init__(self, nic: str, bridge: str, root: Path = Path("/")) -> None:
        self.nic = nic
        self.bridge = bridge
        self.root = root

    def files(self, before: Snapshot) -> Files:
        """Paths and their new contents. Raises ``UplinkRefused`` for a configuration that is not understood."""
        return []


class Ifupdown(Keeper):
    """Debian's /etc/network/interfaces and what it sources: the NIC's stanza becomes the bridge's (interfaces(5))."""

    name = "ifupdown"

    def files(self, before: Snapshot) -> Files:
        link = before.link(self.nic)
        made = self._made(link.address if link is not None else "")
        found = []
        for path in self._sources():
            text = path.read_text()
            if self._mentions(text):
                found.append((path, self._rewritten(text, made)))
                made = ()  # the bridge is made once, whatever stanzas it has
        return found

    def _made(self, mac: str) -> tuple[str, ...]:
        """The options that make the bridge: bridge-utils' where its hook is there, else the commands themselves."""
        if (self.root / "etc/network/if-pre-up.d/bridge").exists():
            options = (f"bridge_ports {self.nic}", "bridge_stp off", "bridge_fd 0", "bridge_waitport 0")
            return (*options, f"bridge_hw {mac}") if mac else options
        address = f" address {mac}" if mac else ""
        make = f"ip link add name {self.bridge}{address} type bridge stp_state 0 forward_delay 0"
        return (
            f"pre-up ip link show dev {self.bridge} >/dev/null 2>&1 || {make}",
            f"pre-up ip link set dev {self.nic} master {self.bridge} up",
            f"post-down ip link del dev {self.bridge}",
        )

    def mentioned(self) -> bool:
        """Whether ifupdown configures the NIC here."""
        return any(self._mentions(path.read_text()) for path in self._sources())

    def _sources(self) -> list[Path]:
        main = self.root / "etc/network/interfaces"
        if not main.is_file():
            return []
        found = [main]
        for pattern in re.findall(r"^\s*source\s+(\S+)", main.read_text(), re.MULTILINE):
            found += sorted(self.root.glob(pattern.lstrip("/")))
        for folder in re.findall(r"^\s*source-directory\s+(\S+)", main.read_text(), re.MULTILINE):
            found += sorted(path for path in (self.root / folder.lstrip("/")).glob("*") if path.is_file())
        return list(dict.fromkeys(found))

    def _mentions(self, text: str) -> bool:
        return re.search(rf"^\s*iface\s+{re.escape(self.nic)}\s", text, re.MULTILINE) is not None

    def _rewritten(self, text: str, made: tuple[str, ...]) -> str:
        """The NIC's stanzas, aliases and hooks are the bridge's; the NIC itself is a port without an address."""
        word = re.compile(rf"(?<![\w.-]){re.escape(self.nic)}(?![\w.-])")
        port = ["", f"# a port of {self.bridge}", f"iface {self.nic} inet manual"] if made else []
        lines: list[str] = []
        ours = False
        for line in text.splitlines():
            match line.split():
                case ["auto" | "allow-hotplug" | "allow-auto", *names] if any(map(word.match, names)):
                    others = [name for name in names if not word.match(name)]
                    lines += [" ".join((line.split()[0], *others))] if others else []
                    bridges = [word.sub(self.bridge, name) for name in names if word.match(name)]
                    lines.append(" ".join(["auto", *bridges]))
                    ours = False
                case ["iface", name, *rest]:
                    ours = word.match(name) is not None
                    lines.append(" ".join(("iface", word.sub(self.bridge, name), *rest)) if ours else line)
                    if name == self.nic and made:
                        lines += [f"    {option}" for option in made]
                        made = ()
                case ["auto" | "mapping" | "source" | "source-directory" | "no-auto-down" | "rename", *_]:
                    ours = False
                    lines.append(line)
                case _:
                    lines.append(word.sub(self.bridge, line) if ours else line)
        return "\n".join([*lines, *port, ""])


class NetworkScripts(Keeper):
    """CentOS 7's /etc/sysconfig/network-scripts: the NIC's file goes to the bridge, the NIC's says BRIDGE=."""

    name = "network-scripts"
    IDENTITY = ("DEVICE", "HWADDR", "UUID", "NAME", "TYPE", "ONBOOT", "MTU", "ETHTOOL_OPTS")

    def _file(self, name: str) -> Path:
        return self.root / f"etc/sysconfig/network-scripts/ifcfg-{name}"

    def mentioned(self) -> bool:
        """Whether network-scripts configure the NIC here."""
        return self._file(self.nic).is_file()

    def files(self, before: Snapshot) -> Files:
        keys = dict(
            line.split("=", 1)
            for line in self._file(self.nic).read_text().splitlines()
            if "=" in line and not line.lstrip().startswith("#")
        )
        addresses = {key: value for key, value in keys.items() if key not in self.IDENTITY}
        link = before.link(self.nic)
        bridge = {
            "DEVICE": self.bridge, "TYPE": "Bridge", "ONBOOT": "yes", "DELAY": "0", "STP": "off",
            "NM_CONTROLLED": "no", **({"MACADDR": link.address} if link is not None else {}), **addresses,
        }  # fmt: skip
        port = {key: value for key, value in keys.items() if key in self.IDENTITY and key != "UUID"} | {
            "DEVICE": self.nic, "TYPE": "Ethernet", "ONBOOT": "yes", "BOOTPROTO": "none", "BRIDGE": self.bridge,
            "NM_CONTROLLED": "no",
        }  # fmt: skip
        return [
            (self._file(self.bridge), "".join(f"{key}={value}\n" for key, value in bridge.items())),
            (self._file(self.nic), "".join(f"{key}={value}\n" for key, value in port.items())),
            *self._beside(),
        ]

    def _beside(self) -> Files:
        """Static routes and rules lie in files of their own, read when the interface of that name comes up."""
        found: Files = []
        for kind in ("route", "route6", "rule", "rule6"):
            old, new = (self._file("").with_name(f"{kind}-{name}") for name in (self.nic, self.bridge))
            if old.is_file():
                text = re.sub(rf"(?<![\w.-]){re.escape(self.nic)}(?![\w.-])", self.bridge, old.read_text())
                found += [(new, text), (old, "")]
        return found


KEEPERS: dict[str, type[Keeper]] = {"none": Keeper, "ifupdown": Ifupdown, "network-scripts": NetworkScripts}


def by_name(name: str, nic: str, bridge: str, root: Path = Path("/")) -> Keeper:
    """The keeper of that name."""
    return KEEPERS[name](nic, bridge, root)


def choose(
    asked: str, nic: str, bridge: str, root: Path = Path("/"), managers: Iterable[str] | None = None
) -> Keeper:
    """The keeper for ``asked``; ``auto`` finds out who configures the NIC.

    ``managers`` are network managers at work (found when None). Raises ``UplinkRefused`` for one that is not supported,
    since it would put the address back on the NIC sooner or later.
    """
    if asked != "auto":
        return by_name(asked, nic, bridge, root)
    unsupported = _unsupported(nic, root) if managers is None else tuple(managers)
    if unsupported:
        raise UplinkRefused(
            f"{nic} is configured by {', '.join(unsupported)}, which would put its address back on it",
            "supported are ifupdown and network-scripts; --persist none migrates all the same, until the next reboot",
        )
    for kind in (Ifupdown, NetworkScripts):
        keeper = kind(nic, bridge, root)
        if keeper.mentioned():
            return keeper
    return Keeper(nic, bridge, root)


def _unsupported(nic: str, root: Path) -> tuple[str, ...]:
    from brdhcp.uplink import clients

    found = list(clients.others())
    if any((root / "etc/netplan").glob("*.yaml")) and shutil.which("netplan"):
        found.append("netplan")
    if "systemd-networkd" in found and not any((root / "etc/systemd/network").glob("*.network")):
        found.remove("systemd-networkd")  # it runs, and has nothing to say about any interface
    return tuple(found)


def content(path: Path) -> str | None:
    """What is in the file now; None when there is none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def write(changed: Files) -> None:
    """Write every file, each whole. Raises ``StoreFailure``."""
    for path, text in changed:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        store_files.write(path, text.encode())
        path.chmod(mode)


def restore(former: Iterable[tuple[str, str | None]]) -> None:
    """Put the former contents back. Raises ``StoreFailure`` naming what could not be restored."""
    problems = []
    for name, text in former:
        path = Path(name)
        try:
            if text is None:
                store_files.remove(path)
            elif content(path) != text:
                write([(path, text)])
        except (StoreFailure, OSError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise StoreFailure("configuration files were not restored: " + "; ".join(problems), "docs/runbook.md")
