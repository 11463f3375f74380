"""An append-only journal: one JSON object a line, on disk before ``write`` returns.

A line that a power cut tore is the last one and says nothing that had been promised, so it is left out when the
journal is read, and taken away before the next one is written. So is what a full disk took of a line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brdhcp.errors import StoreFailure


class Journal:
    """The journal at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, header: Mapping[str, Any]) -> None:
        """A new journal with its first line, in the place of an old one; there whole or not at all."""
        temporary = self.path.with_name(f".{self.path.name}.new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(_line(header))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            self._sync_folder()
        except OSError as error:
            raise StoreFailure(
                f"cannot write {self.path}: {error.strerror}", "nothing was changed"
            ) from error

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry. Raises ``StoreFailure``."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                _append(fd, _line(entry))
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreFailure(
                f"cannot write {self.path}: {error.strerror}", "is the disk full, or read-only?"
            ) from error

    def read(self) -> list[dict[str, Any]]:
        """Every whole entry, oldest first; none when there is no journal. Raises ``StoreFailure``."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreFailure(f"cannot read {self.path}: {error.strerror}") from error
        found = []
        lines = data.split(b"\n")[:-1]  # a line without its end is torn, whatever it says
        for number, line in enumerate(lines, 1):
            try:
                found.append(json.loads(line))
            except ValueError as error:
                if number == len(lines):
                    break  # torn by a power cut
                raise StoreFailure(
                    f"{self.path} is damaged in line {number}: {error}",
                    "docs/runbook.md says how to go back by hand",
                ) from error
        return found

    def _sync_folder(self) -> None:
        fd = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _append(fd: int, line: bytes) -> None:
    whole = os.pread(fd, os.fstat(fd).st_size, 0).rfind(b"\n") + 1
    os.ftruncate(fd, whole)
    try:
        while line:
            line = line[os.write(fd, line) :]
        os.fdatasync(fd)
    except OSError:
        os.ftruncate(fd, whole)
        raise


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"
