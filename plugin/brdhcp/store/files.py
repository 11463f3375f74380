"""Files that are there whole or not at all, whatever happens at whatever instant (rename(2), fsync(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

from brdhcp.errors import StoreFailure


def write(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Put ``data`` at ``path``, on disk when this returns. Raises StoreFailure, the old file is as it was.

    Without ``sync`` it survives the end of every process, but not that of the machine, and costs a tenth.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StoreFailure(
            f"cannot write {path}: {error.strerror}", "nothing was changed; is the disk full, or read-only?"
        ) from error


def remove(path: Path, *, sync: bool = True) -> bool:
    """Remove ``path`` for good; False when it was not there. Raises StoreFailure. ``sync`` as in ``write``."""
    try:
        path.unlink()
        if sync:
            sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreFailure(f"cannot remove {path}: {error.strerror}") from error
    return True


def sync_folder(folder: Path) -> None:
    """Make names put into or taken from ``folder`` survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(folder: Path) -> None:
    """Everything in the file system of ``folder`` is on disk when this returns (syncfs(2)). Raises StoreFailure."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if libc.syncfs(fd):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreFailure(
            f"cannot write out what is in {folder}: {error.strerror}",
            "nothing was changed; see dmesg: is the disk failing?",
        ) from error


def ensure_folder(folder: Path) -> None:
    """``folder`` exists, for root alone. Raises StoreFailure."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreFailure(f"cannot make {folder}: {error.strerror}", "see --state-dir of brdhcpd") from error


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be read to ``*.damaged`` (``*.damaged.2`` …) and return its new path."""
    target = path.with_name(path.name + ".damaged")
    count = 1
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}.damaged.{count}")
    try:
        path.rename(target)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreFailure(f"cannot set {path} aside: {error.strerror}") from error
    return target
