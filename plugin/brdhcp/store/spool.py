"""DEL requests that the shim wrote down while no agent answered; the agent reads, does and removes them.

A file is the body of the shim's request (``brdhcp.agent.wire.decode_body``), named after container and
interface, so a DEL that comes twice is there once. The shim makes files by rename, so each is whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from brdhcp.errors import StoreFailure
from brdhcp.store import files

_SUFFIX = ".del"


@dataclass(frozen=True, slots=True)
class Spooled:
    """One request that waits; ``stamp`` tells it from a newer one of the same name."""

    path: Path
    body: bytes
    stamp: tuple[int, int]

    @property
    def asked_at(self) -> float:
        """When the runtime asked, by the wall clock."""
        return self.stamp[0] / 1e9


class Spool:
    """The folder that the shim writes to (``/var/lib/brdhcp/spool`` unless moved)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files.ensure_folder(folder)

    def pending(self) -> list[Spooled]:
        """The requests that wait, oldest first. Raises StoreFailure."""
        try:
            found = [self._read(path) for path in self.folder.glob("[!.]*" + _SUFFIX)]
        except OSError as error:
            raise StoreFailure(f"cannot read {self.folder}: {error.strerror}") from error
        return sorted(found, key=lambda spooled: spooled.stamp)

    def done(self, spooled: Spooled) -> None:
        """Remove a request that has been done, unless a newer one has taken its name since."""
        try:
            status = spooled.path.stat()
        except FileNotFoundError:
            return
        if (status.st_mtime_ns, status.st_ino) == spooled.stamp:
            files.remove(spooled.path)

    def set_aside(self, spooled: Spooled) -> Path:
        """Keep a request that cannot be read out of the way, as ``*.damaged``."""
        return files.set_aside(spooled.path)

    @staticmethod
    def _read(path: Path) -> Spooled:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return Spooled(path, file.read(), (status.st_mtime_ns, status.st_ino))
