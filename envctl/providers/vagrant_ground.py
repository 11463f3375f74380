"""Where the hypervisor lives: the system's own libvirt, or one that exists only in namespaces of ours.

On a workstation libvirt runs already and is used. On a build machine nothing runs, and 172.16.91.0/24 must
exist nowhere else: libvirtd, its network and its guests then live in their own network, mount and process
namespaces. They hang on one process, named after the environment; killing that one removes all of it. The
workstation's place on the LAN (``kubectl``, ``ssh``) is then inside the network namespace, linked as
``/run/netns/<environment>-host``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from envctl.box.cache import default_root
from envctl.errors import EnvctlError
from envctl.providers.base import ProviderError
from envctl.providers.lab_machines import end
from envctl.wait import until

SCRIPT = Path(__file__).with_suffix(".sh")
NETNS = Path("/run/netns")
SYSTEM_SOCKET = Path("/run/libvirt/libvirt-sock")
STARTS_WITHIN_S = ENDS_WITHIN_S = 60.0


def state_root() -> Path:
    """Where environments keep what must outlive a reboot of a guest: ``$ENVCTL_STATE``, else the user's state
    folder.
    """
    chosen = os.environ.get("ENVCTL_STATE")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(chosen) if chosen else Path(base) / "envctl"


@dataclass(frozen=True)
class Ground:
    """Runs commands where the hypervisor is. ``holder`` is the process whose namespaces it lives in; 0 is
    this system.
    """

    environment: str
    holder: int = 0

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command as it must be called from here."""
        return [*self._enter(), *argv]

    def _enter(self) -> list[str]:
        if not self.holder:
            return []
        return ["nsenter", "--target", str(self.holder), "--net", "--mount", "--pid", "--"]

    def proxy_command(self) -> str:
        """What ssh must run to reach ``%h:%p``; empty when it can connect by itself."""
        if not self.holder:
            return ""
        return f"nsenter --target {self.holder} --net -- nc %h %p"

    def run(
        self, *argv: str, check: bool = True, env: dict[str, str] | None = None, timeout: float = 120
    ) -> str:
        """Run a command there; its standard output. Raises EnvctlError with what it said."""
        done = subprocess.run(
            self.argv(argv),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
        )
        if check and done.returncode:
            raise EnvctlError(
                f"{' '.join(argv)} failed with exit status {done.returncode}",
                cause=(done.stdout + done.stderr).strip(),
            )
        return done.stdout


def seen_as(environment: str) -> str:
    """The name that the holder of an environment's namespaces shows in the process list."""
    return f"envctl-vm {environment}"


def holders() -> dict[str, int]:
    """Environments with namespaces of their own → the process that holds them, discovered from the process
    list.
    """
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            first = entry.read_bytes().split(b"\0", 1)[0].decode(errors="replace")
            if first.startswith("envctl-vm "):
                found[first.removeprefix("envctl-vm ")] = int(entry.parent.name)
    return found


def find(environment: str) -> Ground | None:
    """The ground of an environment that exists, or the system's libvirt when it runs; else None."""
    holder = holders().get(environment)
    if holder:
        return Ground(environment, holder)
    return Ground(environment) if SYSTEM_SOCKET.exists() else None


def ensure(environment: str) -> Ground:
    """The ground of an environment, made when there is none. Raises EnvctlError when it cannot be made."""
    found = find(environment)
    if found:
        return found
    if os.geteuid():
        raise EnvctlError(
            "no libvirt answers on this machine, and only root can start one of its own",
            hint="Start it (systemctl start libvirtd) and join its group, or run envctl as root.",
        )
    state = state_root() / environment / "hypervisor"
    pool = state / "var/lib/libvirt/images"
    pool.mkdir(parents=True, exist_ok=True)
    log = state / "start.log"
    with log.open("w") as out:
        outer = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private", "bash", str(SCRIPT),
             str(state), seen_as(environment), str(shared_pool())],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    ground = _wait_for(environment, outer, log)
    _link(ground)
    return ground


def shared_pool() -> Path:
    """Where disks lie: beside the caches, so that a box's disk is unpacked once for every environment."""
    pool = default_root() / "disks"
    pool.mkdir(parents=True, exist_ok=True)
    return pool


def _wait_for(environment: str, outer: subprocess.Popen[bytes], log: Path) -> Ground:
    def give_up() -> EnvctlError:
        outer.kill()
        return EnvctlError(
            "libvirt did not start in namespaces of its own",
            cause=log.read_text().strip(),
            hint="Nested namespaces and the packages of provision/packages.vm are needed: envctl doctor",
        )

    ground = until(
        lambda: _answering(environment),
        within=STARTS_WITHIN_S, unless=lambda: outer.poll() is not None, otherwise=give_up, pause=0.1,
    )  # fmt: skip
    outer.returncode = 0  # it outlives us: nobody waits for it
    return ground


def _answering(environment: str) -> Ground | None:
    """The namespaces of an environment once libvirt answers in them."""
    holder = holders().get(environment)
    if not holder:
        return None
    ground = Ground(environment, holder)
    asked = subprocess.run(ground.argv(["virsh", "-c", "qemu:///system", "uri"]), capture_output=True)
    return None if asked.returncode else ground


def _name(environment: str) -> Path:
    return NETNS / f"{environment}-host"


def _link(ground: Ground) -> None:
    """Show the network namespace to `ip netns exec`; a link that keeps nothing alive."""
    NETNS.mkdir(parents=True, exist_ok=True)
    name = _name(ground.environment)
    name.unlink(missing_ok=True)
    name.symlink_to(f"/proc/{ground.holder}/ns/net")


def remove(environment: str) -> bool:
    """End the namespaces of an environment with everything in them; whether there was anything.

    Raises ProviderError when they are another user's, or do not end.
    """
    holder = holders().get(environment)
    state = state_root() / environment
    there = bool(holder) or state.is_dir()
    if holder:
        try:
            end([holder], signal.SIGKILL, ENDS_WITHIN_S)
        except PermissionError as error:
            raise ProviderError(
                f"the namespaces of {environment} are another user's (process {holder})",
                hint="run it as that user, or with sudo",
            ) from error
    if not os.geteuid():  # only root makes such a link
        _name(environment).unlink(missing_ok=True)
    shutil.rmtree(state, ignore_errors=True)
    return there
