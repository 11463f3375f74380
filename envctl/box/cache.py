"""A cache by content: what was made from the same inputs is not made again.

It lies outside the checkout, so that a fresh clone profits from it: ``$ENVCTL_CACHE``, else
``$XDG_CACHE_HOME/envctl``, else ``~/.cache/envctl``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

KEY_LENGTH = 16


def default_root() -> Path:
    """Where the cache is, by the environment."""
    chosen = os.environ.get("ENVCTL_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "envctl"


def digest_files(paths: Iterable[Path], base: Path) -> str:
    """One digest over the names, modes and contents of files (folders are walked), relative to ``base``."""
    total = hashlib.sha256()
    for path in sorted(_walk(paths)):
        total.update(f"{path.relative_to(base)}\0{path.lstat().st_mode:o}\0".encode())
        total.update(str(path.readlink()).encode() if path.is_symlink() else path.read_bytes())
        total.update(b"\0")
    return total.hexdigest()


def _walk(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            yield from (found for found in path.rglob("*") if found.is_symlink() or found.is_file())
        else:
            yield path


@dataclass(frozen=True)
class Part:
    """One cached thing: its folder and the key it was found or made under."""

    name: str
    key: str
    path: Path
    made: bool


@dataclass(frozen=True)
class Cache:
    """Folders named ``<part>/<key>``; a folder that exists is complete."""

    root: Path

    def ensure(self, name: str, inputs: Mapping[str, str], make: Callable[[Path], None]) -> Part:
        """The folder of ``name`` made from ``inputs``; ``make(folder)`` fills a new one.

        Two builds at once: the second waits for the first. A build that fails leaves nothing under the key.
        """
        text = json.dumps(dict(inputs), sort_keys=True, indent=1)
        key = hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        final = home / key
        with (home / f".{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if final.is_dir():
                return Part(name, key, final, made=False)
            work = home / f".{key}.work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                make(work)
                (work / "inputs.json").write_text(text + "\n")
                work.rename(final)
            finally:
                with suppress(FileNotFoundError):
                    shutil.rmtree(work)
        return Part(name, key, final, made=True)

    def parts(self) -> list[Path]:
        """Every complete part in the cache, oldest first."""
        found = [path for path in self.root.glob("*/*/inputs.json") if not path.parent.name.startswith(".")]
        return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime)]
