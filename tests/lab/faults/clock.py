"""A clock that the test sets, for the agent and the server at once."""

from __future__ import annotations

from pathlib import Path

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
"""The one for threads: with the other, a thread that reads the clock while another one does may get the real time."""


class Clock:
    """What time it is for the processes that have ``environment``: it runs as always, and jumps when told.

    It is the wall clock and the monotonic one. Calls that wait for a lock with a time limit (sem_clockwait(3)) are not
    told: whoever has this environment must not make them.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.passed = 0
        self.forward(0)

    def forward(self, seconds: int) -> None:
        """So much time passes now."""
        self.passed += seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"+{self.passed}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }
