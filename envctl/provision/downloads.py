"""The lock file's addresses: are they all there, do they still answer, and all of it on disk for later.

A download is accepted by its checksum alone; what has none is refused unless that is asked for.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Literal

from envctl.errors import EnvctlError
from envctl.node import Node
from envctl.providers.base import Finding
from envctl.provision.steps import BUNDLE, HOME, lock

CHUNK = 1 << 20
TIMEOUT_S = 30.0
Note = Callable[[str], None]


@dataclass(frozen=True)
class Download:
    """One file of the lock: ``sha256`` is empty when nobody knows it."""

    name: str
    sha256: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    """What became of one address: ``problem`` is empty when it has what is asked for."""

    name: str
    url: str
    problem: str


def downloads(data: dict[str, Any] | None = None) -> list[Download]:
    """Every file of the centos7 guest: its boxes, then what is installed on it."""
    guest = (data or lock())["guests"]["centos7"]
    boxes = [
        Download(entry["urls"][0].rpartition("/")[2], entry.get("sha256", ""), tuple(entry["urls"]))
        for key, entry in guest["box"].items()
        if key != "name"
    ]
    return [*boxes, *(Download(one["name"], one["sha256"], tuple(one["urls"])) for one in guest["files"])]


def online(note: Note, wanted: list[Download] | None = None) -> Iterator[Probe]:
    """Fetch every address of the lock and compare its checksum; nothing is kept."""
    for download in downloads() if wanted is None else wanted:
        for url in download.urls:
            note(f"{download.name}: {url}")
            yield Probe(download.name, url, _problem(download, url))


def findings(note: Note, wanted: list[Download] | None = None) -> list[Finding]:
    """One finding per address of the lock. A file is an error when no address has it, else dead ones are warnings."""
    found = []
    probes = list(online(note, wanted))
    good = {probe.name for probe in probes if not probe.problem}
    for probe in probes:
        level: Literal["ok", "warning", "error"] = "ok"
        if probe.problem:
            level = "warning" if probe.name in good else "error"
        what = f"{probe.url} " + (probe.problem or "has what the lock file says")
        found.append(Finding(f"online-{probe.name}", level, what))
    return found


def _problem(download: Download, url: str) -> str:
    try:
        digest = _fetch(url, None)
    except (OSError, ValueError) as error:
        return f"does not answer: {error}"
    if not download.sha256:
        return f"answers, but nobody knows its checksum (it has {digest})"
    return "" if digest == download.sha256 else f"has another content: sha256 {digest}"


def _fetch(url: str, target: Path | None) -> str:
    """Read ``url`` to its end, into ``target`` when there is one; its sha256."""
    total = hashlib.sha256()
    response: HTTPResponse
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
        out = target.open("wb") if target else None
        try:
            while chunk := response.read(CHUNK):
                total.update(chunk)
                if out:
                    out.write(chunk)
        finally:
            if out:
                out.close()
    return total.hexdigest()


def bundle(
    directory: Path,
    *,
    allow_unverified: bool = False,
    note: Note = lambda _line: None,
    wanted: list[Download] | None = None,
) -> list[Path]:
    """Every file of the lock in ``directory``, verified; what is there already is not fetched again.

    Raises EnvctlError naming everything that could not be had; what could stays.
    """
    listed = downloads() if wanted is None else wanted
    unknown = [download.name for download in listed if not download.sha256]
    if unknown and not allow_unverified:
        listed = [download for download in listed if download.sha256]
        note(f"left out, because nobody knows their checksum (--allow-unverified): {', '.join(unknown)}")
    directory.mkdir(parents=True, exist_ok=True)
    problems: list[str] = []
    files = []
    for download in listed:
        path = directory / download.name
        problem = _have(download, path, note)
        if problem:
            problems.append(f"{download.name}: {problem}")
        else:
            files.append(path)
    if problems:
        raise EnvctlError(
            f"{len(problems)} of {len(listed)} files could not be had",
            cause="\n".join(problems),
            hint="Run it again where there is a network; what came is kept.",
        )
    return files


def _have(download: Download, path: Path, note: Note) -> str:
    """``path`` has the file; what stood in the way, or ``""``."""
    if path.exists() and download.sha256 and _digest(path) == download.sha256:
        return ""
    said = []
    part = path.with_name(path.name + ".part")
    for url in download.urls:
        note(f"{download.name}: {url}")
        try:
            digest = _fetch(url, part)
        except (OSError, ValueError) as error:
            said.append(f"{url}: {error}")
            continue
        if download.sha256 and digest != download.sha256:
            said.append(f"{url}: has another content: sha256 {digest}")
            continue
        part.replace(path)
        return ""
    with suppress(FileNotFoundError):
        part.unlink()
    return "; ".join(said)


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def send(node: Node, files: Sequence[Mapping[str, Any]], directory: Path = BUNDLE) -> str:
    """Put those of a guest's ``files`` (entries of the lock) that a bundle has on the node; what to show of it.

    What is there already is not sent again; what is not as the lock says stays here: the node would refuse it.
    """
    sent = 0
    for file in files:
        path, target = directory / file["name"], f"{HOME}/bundle/{file['name']}"
        if not path.is_file() or _digest(path) != file["sha256"]:
            continue
        there = node.run("sha256sum %s", target, check=False, timeout=120).stdout
        if not there.startswith(file["sha256"]):
            node.put(target, path.read_bytes())
            sent += 1
    return f"{sent} files sent"
