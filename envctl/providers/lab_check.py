"""What a lab needs of this machine, looked at before anything is made."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from envctl.config import Config
from envctl.node import PATH
from envctl.providers.base import Finding

PROGRAMS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setsid": "util-linux",
    "bash": "bash",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "ping": "iputils-ping",
}
"""Program and the Debian package that has it."""
REFERENCE_PLUGINS = Path("/usr/lib/cni")


def findings(config: Config) -> list[Finding]:
    """One finding per thing that was looked at, good ones too."""
    return [_root(), *_programs(config), _overlay(), _plugins()]


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", "ok", "running as root")
    return Finding("root", "error", "network namespaces need root", "run it with sudo")


def _programs(config: Config) -> list[Finding]:
    wanted = dict(PROGRAMS)
    if config.uplink.address == "dhcp":
        wanted["dhclient"] = "isc-dhcp-client"
    found = []
    for program, package in wanted.items():
        path = shutil.which(program, path=PATH)
        fix = ("apt-get", "install", "-y", "--no-install-recommends", package)
        if path:
            found.append(Finding(f"program-{program}", "ok", f"{program} is {path}"))
        else:
            hint = f"install the package {package}"
            found.append(Finding(f"program-{program}", "error", f"{program} is missing", hint, fix))
    return found


def _overlay() -> Finding:
    known = "overlay" in Path("/proc/filesystems").read_text()
    module = any(Path("/lib/modules", platform.release()).glob("kernel/fs/overlayfs/overlay.ko*"))
    if known or module:
        return Finding("overlay", "ok", "the kernel has overlayfs")
    hint = "machines of the lab have disks of their own through it"
    return Finding("overlay", "error", "the kernel has no overlayfs", hint, ("modprobe", "overlay"))


def _plugins() -> Finding:
    if (REFERENCE_PLUGINS / "bridge").exists():
        return Finding("reference-plugins", "ok", f"the reference CNI plugins are in {REFERENCE_PLUGINS}")
    hint = (
        "chained plugins (portmap, bandwidth, tuning, firewall) need the package containernetworking-plugins"
    )
    fix = ("apt-get", "install", "-y", "--no-install-recommends", "containernetworking-plugins")
    return Finding("reference-plugins", "warning", "the reference CNI plugins are missing", hint, fix)
