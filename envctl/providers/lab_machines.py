"""The processes that hold the lab's machines: found by their name in /proc, made by ``lab_init.py``, ended by
SIGKILL.

Nothing is remembered. The process of a machine is named ``envctl-lab <env>/<machine>``; whoever looks, after
a crash too, finds it. Links in /run/netns point at its network namespace for ``ip netns``; they keep nothing
alive.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from envctl.providers.base import ProviderError

MACHINE = "envctl-lab "
POD = "envctl-pod "
RUN = Path("/run/envctl")
NETNS = Path("/run/netns")
INIT = Path(__file__).with_name("lab_init.py")
LOCK_WAIT_S = 10.0
LAYERED = ("etc", "opt", "var/lib")
"""Folders in which a machine writes to its own disk (the same as in ``lab_init.py``)."""
OPAQUE = ("etc/cni", "opt/cni", "var/lib/brdhcp", "var/lib/cni", "var/lib/dhcp")
"""Folders of a machine in which nothing of this machine's own shows through."""


@dataclass(frozen=True, slots=True)
class Found:
    """The process of a machine (``env/machine``) or of a pod (``env/node/pod``)."""

    name: str
    pid: int


def interpreter() -> str:
    """The Python that runs helpers: this one, without its virtual environment."""
    return os.path.realpath(sys.executable)


def directory(env: str, machine: str = "") -> Path:
    """Where the files of an environment, or of one of its machines, are on this machine."""
    return RUN / env / machine if machine else RUN / env


def _commands() -> Iterator[tuple[int, list[str]]]:
    """Every process of root's with its arguments."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                path = Path(entry.path)
                line = (path / "cmdline").read_bytes()
                if b"envctl-" in line and path.stat().st_uid == 0:
                    yield int(entry.name), os.fsdecode(line).split("\0")


def depth(pid: int) -> int:
    """How many PID namespaces a process is in, counted from ours: machines 2, pods 3; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return len(line.split()) - 1
    return 0


def machines(env: str) -> dict[str, int]:
    """The machines of an environment that are up: name to process id."""
    prefix = f"{MACHINE}{env}/"
    return {
        argv[0].removeprefix(prefix): pid
        for pid, argv in _commands()
        if argv[0].startswith(prefix) and depth(pid) == 2
    }


def pods(env: str) -> dict[tuple[str, str], int]:
    """The pods of an environment whose process is alive: (node, pod) to process id."""
    prefix = f"{POD}{env}/"
    found = {}
    for pid, argv in _commands():
        if argv[0].startswith(prefix) and depth(pid) == 3:
            node, _, pod = argv[0].removeprefix(prefix).partition("/")
            found[node, pod] = pid
    return found


def inside(pid: int) -> list[tuple[int, list[str]]]:
    """The processes of a machine (not those of its pods): process id here, arguments. ``pid`` is its
    holder's.
    """
    try:
        namespace = Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return []
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and entry.name != str(pid):
            with contextlib.suppress(OSError):
                path = Path(entry.path)
                if (path / "ns/pid").readlink() == namespace:
                    line = os.fsdecode((path / "cmdline").read_bytes())
                    found.append((int(entry.name), line.removesuffix("\0").split("\0")))
    return found


def beginners(env: str) -> list[int]:
    """Processes that are just making machines of this environment (left by a command that was killed)."""
    prefix = f"{MACHINE}{env}/"
    return [
        pid
        for pid, argv in _commands()
        if str(INIT) in argv and any(arg.startswith(prefix) for arg in argv) and depth(pid) in (1, 2)
    ]


def prepare(env: str, machine: str, files: Mapping[Path, str]) -> Path:
    """The folder of a machine about to start: an empty /run, a boot id of its own, and the disk it had
    before.
    """
    home = directory(env, machine)
    shutil.rmtree(home / "run", ignore_errors=True)
    shutil.rmtree(home / "work", ignore_errors=True)
    own = ("etc/cni/net.d", "opt/cni/bin", *OPAQUE)
    for name in ("run/netns", *(f"work/{path}" for path in LAYERED), *(f"disk/{path}" for path in own)):
        (home / name).mkdir(parents=True, exist_ok=True)
    for name in OPAQUE:
        os.setxattr(home / "disk" / name, "trusted.overlay.opaque", b"y")
    for path, text in files.items():
        (home / "disk" / path).parent.mkdir(parents=True, exist_ok=True)
        (home / "disk" / path).write_text(text)
    machine_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{machine}.{env}.envctl").hex
    (home / "disk/etc/machine-id").write_text(f"{machine_id}\n")
    (home / "boot_id").write_text(f"{uuid.uuid4()}\n")
    return home


def launch(env: str, wanted: Mapping[str, bool]) -> dict[str, int]:
    """Start machines whose folders are prepared (name to whether it forwards packets); their process ids once
    ready.
    """
    if not wanted:
        return {}
    argv = [interpreter(), "-I", "-S", str(INIT), "machine"]
    for name, forward in wanted.items():
        argv += [f"{MACHINE}{env}/{name}", name, str(directory(env, name)), str(int(forward))]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
        check=False, start_new_session=True,
    )  # fmt: skip
    if done.returncode:
        raise ProviderError(
            f"machines of {env} could not be made",
            cause=done.stderr.strip(),
            hint="envctl doctor says what is missing",
        )
    pids = dict(zip(wanted, map(int, done.stdout.split()), strict=True))
    for name, pid in pids.items():
        link(env, name, pid)
    return pids


def link(env: str, machine: str, pid: int) -> None:
    """Show the machine to ``ip netns``, under ``<env>-<machine>``; whatever had that link before."""
    path = NETNS / f"{env}-{machine}"
    part = NETNS / f".{path.name}.{os.getpid()}"
    for last in (False, False, True):  # a neighbour may just be removing the empty folder
        NETNS.mkdir(parents=True, exist_ok=True)
        try:
            part.unlink(missing_ok=True)
            part.symlink_to(f"/proc/{pid}/ns/net")
            part.replace(path)
        except FileNotFoundError:
            if last:
                raise
        else:
            return


def unlink(env: str, machines: Iterable[str] | None = None) -> None:
    """Remove links to machines (all of this environment's by default); only such links, never a namespace."""
    for path in list(NETNS.glob(f"{env}-*")) if NETNS.is_dir() else ():
        machine = path.name.removeprefix(f"{env}-")
        ours = path.is_symlink() and str(path.readlink()).startswith("/proc/") and "-" not in machine
        if ours and (machines is None or machine in machines):
            path.unlink(missing_ok=True)


def kill(pids: Iterable[int]) -> None:
    """End processes (and with them what they hold), and wait until they are gone."""
    end(pids, signal.SIGKILL)


def end(pids: Iterable[int], how: signal.Signals, within: float = 10.0) -> None:
    """Send a signal to processes and wait until they are gone; ProviderError when one stays ``within``
    seconds.
    """
    descriptors = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            descriptors.append((pid, descriptor))
            signal.pidfd_send_signal(descriptor, how)
    deadline = time.monotonic() + within
    stayed = []
    for pid, descriptor in descriptors:
        gone, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        os.close(descriptor)
        if not gone:
            stayed.append(pid)
    if stayed:
        raise ProviderError(
            f"processes {stayed} did not end within {within:g} s of {how.name}",
            hint=f"ps -o pid,stat,wchan:20,args -p {','.join(map(str, stayed))} shows what they wait for",
        )


@contextlib.contextmanager
def locked(env: str, *, make: bool = True) -> Iterator[bool]:
    """One command at a time works on an environment; waits ``LOCK_WAIT_S`` for the other one, then
    ProviderError.

    Held by the folder of the environment, which is made if need be; a killed process lets go of it. With
    ``make`` false, answers False when there is no folder.
    """
    home = directory(env)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            if make:
                home.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # the last environment's end takes the parent too
            if make and time.monotonic() < deadline:
                continue
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), home.stat()):
                    break
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise ProviderError(
                    f"another envctl is working on environment {env}",
                    hint="wait for it, or end it, then try again",
                ) from None
            time.sleep(0.02)
        os.close(descriptor)
    try:
        yield True
    finally:
        os.close(descriptor)


def remove(env: str) -> None:
    """Everything of an environment: processes (again, until no new one appears), links, files. Under the
    lock.
    """
    while pids := [*beginners(env), *machines(env).values()]:
        kill(pids)
    unlink(env)
    shutil.rmtree(directory(env), ignore_errors=True)
    for folder in (RUN, NETNS):
        with contextlib.suppress(OSError):
            folder.rmdir()
