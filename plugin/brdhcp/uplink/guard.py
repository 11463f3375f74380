"""The guard: another process, begun before the first step, that goes back when nobody confirms in time.

Whoever migrates may be cut off by what he does: the ssh session ends, and with it everything that was started in it. So
the guard is in a session of its own (under systemd in a unit of its own), talks to nobody, and needs nothing but the
journal. SIGTERM makes it look at the journal again; only a decision in there ends it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from brdhcp.errors import CniError, StoreFailure
from brdhcp.uplink import clients, state
from brdhcp.uplink.perform import CRASH

UNIT = "brdhcp-uplink-guard"
SIGN = "guard"
"""The file in which the guard says its process number once it watches."""
WAKING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
START_S, LOOK_S = 60.0, 0.2
APPLY_S = 60.0
"""How long the steps themselves may take; past that whoever does them hangs."""


def arm(state_dir: Path) -> tuple[int, int]:
    """Start the guard and wait until it watches. Its process number and start time.

    Raises ``StoreFailure``: then nothing may be touched.
    """
    sign = state.folder(state_dir) / SIGN
    sign.unlink(missing_ok=True)
    python_path = os.pathsep.join(path for path in sys.path if path)
    argv = [sys.executable, "-m", "brdhcp.uplink.guard", str(state_dir)]
    if Path("/run/systemd/system").is_dir() and shutil.which("systemd-run"):
        unit = ["systemd-run", "--quiet", "--collect", f"--unit={UNIT}-{os.getpid()}", "--property=KillMode=process",
                f"--setenv=PYTHONPATH={python_path}"]  # fmt: skip
        if subprocess.run([*unit, *argv], stdin=subprocess.DEVNULL, check=False, timeout=30).returncode:
            raise StoreFailure(
                "systemd did not start the guard, so nothing was changed", f"systemctl status '{UNIT}*'"
            )
    else:
        environment = {name: value for name, value in os.environ.items() if name != CRASH}
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            env={**environment, "PYTHONPATH": python_path}, start_new_session=True,
        )  # fmt: skip
        process.returncode = 0  # it outlives us: nobody waits for it
    return _sign(sign)


def _sign(sign: Path) -> tuple[int, int]:
    """Wait for the guard's sign of life."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            pid = int(sign.read_text())
            return pid, clients.started(pid)
        except (OSError, ValueError):
            time.sleep(0.005)
    raise StoreFailure("the guard did not start, so nothing was changed", "brdhcpctl uplink status")


def wake(guard: tuple[int, int] | None) -> None:
    """Make the guard look at the journal: a decision is in it."""
    if guard is None:
        return
    pid, started = guard
    try:
        if clients.started(pid) == started:
            os.kill(pid, signal.SIGTERM)
    except OSError:
        return  # it has ended already


def watch(state_dir: Path) -> None:
    """Wait for a decision until the time is up, then go back. Raises what the rollback raises."""
    from brdhcp.uplink.run import rollback

    deadline = time.monotonic() + APPLY_S
    while True:
        migration = state.load(state_dir)
        if migration is not None and migration.state not in ("applying", "waiting"):
            return
        left = deadline - time.monotonic()
        if migration is not None and migration.state == "waiting":
            left = migration.seconds_left or 0.0
        elif migration is not None and migration.migrator is not None and not _alive(migration.migrator):
            break  # nobody is there to finish it
        if left <= 0:
            break
        settled = migration is not None and migration.state == "waiting"
        signal.sigtimedwait(WAKING, left if settled else min(left, LOOK_S))
    if migration is None:
        return  # nothing was ever begun
    if migration.migrator is not None and migration.state == "applying":
        clients.stop(*migration.migrator)  # it hangs, and holds the lock
    rollback(state_dir, by="the guard: nobody confirmed")


def _alive(process: tuple[int, int]) -> bool:
    try:
        return clients.started(process[0]) == process[1]
    except OSError:
        return False


def main() -> int:
    """The guard's own process. Exit status 0: it was decided, or brought back; 4: not everything came back."""
    state_dir = Path(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)
    (state.folder(state_dir) / SIGN).write_text(f"{os.getpid()}\n")
    try:
        watch(state_dir)
    except CniError as error:
        with contextlib.suppress(OSError):
            (state.folder(state_dir) / "guard.log").write_text(f"{error}\n")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
