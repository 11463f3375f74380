"""What a virtual machine needs of this machine, looked at before anything is made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from envctl.box.cache import default_root
from envctl.config import Config
from envctl.node import PATH
from envctl.providers.base import Finding
from envctl.providers.vagrant_ground import SYSTEM_SOCKET

PROGRAMS = {
    "vagrant": "vagrant",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "ssh": "openssh-client",
}
PRIVATE = {"libvirtd": "libvirt-daemon-system", "nsenter": "util-linux", "nc": "netcat-openbsd"}
BOX = {"mmdebstrap": "mmdebstrap", "go": "golang-go", "dpkg-source": "dpkg-dev", "mke2fs": "e2fsprogs"}
FREE_GB = 12
MEMORY_GB = 5
KVM_S = 12.0
KUBECTL_HINT = "install kubectl (1.15 to 1.17 for this cluster) and put it into the PATH"
BOOT = Path("/boot")


def findings(config: Config) -> list[Finding]:
    """One finding per thing that was looked at, good ones too."""
    wanted = dict(PROGRAMS)
    if not SYSTEM_SOCKET.exists():
        wanted |= PRIVATE
    if config.guest == "debian12":
        wanted |= BOX
    programs = [_program(*item) for item in wanted.items()]
    rest = [_space(), _memory(), _cores(), _kvm(), _network(config)]
    return [_who(), *programs, *([_kubectl()] if config.guest == "centos7" else []), *rest]


def _who() -> Finding:
    if SYSTEM_SOCKET.exists():
        if os.access(SYSTEM_SOCKET, os.W_OK):
            return Finding("libvirt", "ok", "the system's libvirt is used")
        hint = "join its group and log in again: sudo usermod -aG libvirt $USER"
        return Finding("libvirt", "error", "the system's libvirt runs and does not let you in", hint)
    if os.geteuid() == 0:
        return Finding("libvirt", "ok", "no libvirt runs here: one is started in namespaces of its own")
    hint = "start it (sudo systemctl start libvirtd), or run envctl as root"
    return Finding("libvirt", "error", "no libvirt runs here", hint)


def _program(program: str, package: str) -> Finding:
    path = shutil.which(program, path=PATH)
    if path:
        return Finding(f"program-{program}", "ok", f"{program} is {path}")
    fix = ("apt-get", "install", "-y", "--no-install-recommends", package)
    return Finding(
        f"program-{program}", "error", f"{program} is missing", f"install the package {package}", fix
    )


def _kubectl() -> Finding:
    """The box of debian12 brings one along."""
    path = shutil.which("kubectl", path=os.environ.get("PATH", PATH)) or _made_kubectl()
    if path:
        return Finding("kubectl", "ok", f"kubectl is {path}")
    return Finding("kubectl", "error", "kubectl is missing: pods are made with it", KUBECTL_HINT)


def _made_kubectl() -> str:
    made = default_root() / "bin/kubectl"
    return str(made) if made.exists() else ""


def _network(config: Config) -> Finding:
    """The machine's network is made by a script that knows one form of it."""
    network = config.network
    if network.cidr.prefixlen != 24:
        what = f"network.cidr is {network.cidr}; a virtual machine's network is a /24"
        return Finding("network", "error", what, "choose a /24, as 172.16.91.0/24")
    if network.ipv6 is not None:
        what = f"network.ipv6 is {network.ipv6}; a virtual machine's network has IPv4 only"
        return Finding("network", "error", what, "leave network.ipv6 out, or use the lab: --provider lab")
    return Finding("network", "ok", f"{network.cidr} for the machine's network")


def _space() -> Finding:
    place = default_root()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    what = f"{free:.0f} GB are free at {place}"
    if free < FREE_GB:
        return Finding(
            "space", "error", what, f"{FREE_GB} GB are needed; ENVCTL_CACHE puts the caches elsewhere"
        )
    return Finding("space", "ok", what)


def _memory() -> Finding:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) / 1e6
    what = f"{available:.0f} GB of memory are available"
    if available < MEMORY_GB:
        return Finding("memory", "error", what, f"the guest has 4 GB; {MEMORY_GB} GB should be free")
    return Finding("memory", "ok", what)


def _cores() -> Finding:
    cores = os.cpu_count() or 1
    if cores < 2:
        return Finding("cores", "error", "one processor core", "kubeadm needs two")
    return Finding("cores", "ok", f"{cores} processor cores")


def _kvm() -> Finding:
    if driver() == "kvm":
        tried = (
            "KVM boots a guest"
            if _kernels()
            else "KVM is there; whether it boots a guest is tried with the box"
        )
        return Finding("kvm", "ok", tried)
    return Finding("kvm", "warning", "KVM boots no guest here: it is emulated, about ten times slower")


def driver() -> str:
    """``kvm`` when it boots a guest, else ``qemu`` (emulation): found out by trying, once per boot of this machine.

    A device that is there proves nothing: nested, it may hang at a guest's first instructions. While there is no kernel
    to try with, as before the first box is made, it is believed, and nothing is remembered.
    """
    chosen = os.environ.get("ENVCTL_DRIVER")
    if chosen:
        return chosen
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record = default_root() / f"kvm-{boot}"
    if record.exists():
        return record.read_text().strip()
    if not _kvm_is_there():
        return "qemu"
    kernels = _kernels()
    if not kernels:
        return "kvm"
    found = "kvm" if _boots(kernels[0]) else "qemu"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(found)
    return found


def _kvm_is_there() -> bool:
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool(shutil.which("qemu-system-x86_64", path=PATH))


def _kernels() -> list[Path]:
    """To try with: those that this user may read (some distributions keep the system's own to root)."""
    found = [*sorted(default_root().glob("box/*/vmlinuz")), *sorted(BOOT.glob("vmlinuz-*"))]
    return [kernel for kernel in found if os.access(kernel, os.R_OK)]


def _boots(kernel: Path) -> bool:
    """Whether a stock kernel gets as far as its first lines under KVM."""
    argv = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "512", "-display", "none", "-no-reboot",
            "-serial", "stdio", "-kernel", str(kernel), "-append", "console=ttyS0 panic=-1"]  # fmt: skip
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=KVM_S)
        said = done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    return b"Linux version" in said
