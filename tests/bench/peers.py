"""The reference plugins in the newest version that a later Debian suite carries, in a folder of the bench.

The package manager fetches them by name with a configuration of its own: the archive is the one this system uses
already, only the suite is another, and nothing is installed.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "containernetworking-plugins"
SYSTEM = Path("/usr/lib/cni")
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
LATER = "sid"


@dataclass(frozen=True, slots=True)
class Peer:
    """One version of the reference plugins: its version without Debian's part, and the folder of its executables."""

    version: str
    folder: Path


def installed() -> Peer:
    """This release's own. Raises ``CalledProcessError`` when the package is not installed."""
    shown = _run("dpkg-query", "-W", "-f", "${Version}", PACKAGE)
    return Peer(_upstream(shown), SYSTEM)


def newest(folder: Path) -> Peer:
    """The later suite's, fetched into ``folder`` unless it is there already. RuntimeError: why not."""
    folder = folder.resolve()
    marker = folder / "version"
    if not marker.exists():
        _fetch(folder)
    return Peer(marker.read_text(), folder / "root/usr/lib/cni")


def _fetch(folder: Path) -> None:
    parts = folder / "apt/sources"
    for each in (parts, folder / "apt/lists/partial", folder / "apt/cache/archives/partial"):
        each.mkdir(parents=True, exist_ok=True)
    (parts / "later.sources").write_text(_later_suite())
    options = [
        "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={parts}",
        "-o", f"Dir::State::Lists={folder}/apt/lists", "-o", f"Dir::Cache={folder}/apt/cache",
        "-o", "Dir::State::status=/dev/null", "-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
    _run("apt-get", *options, "-q", "update")
    version = _run("apt-cache", *options, "show", "--no-all-versions", PACKAGE)
    found = re.search(r"^Version: (.+)$", version, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"the suite {LATER} has no {PACKAGE}")
    _run("apt-get", *options, "-q", "download", f"{PACKAGE}={found[1]}", cwd=folder)
    package = next(folder.glob(f"{PACKAGE}_*.deb"))
    _run("dpkg-deb", "-x", str(package), str(folder / "root"))
    (folder / "version").write_text(_upstream(found[1]))


def _later_suite() -> str:
    """The first stanza of this system's sources, with the later suite in place of its own."""
    if not SOURCES.exists():
        raise RuntimeError(f"{SOURCES} does not exist: this is not a Debian of the kind that the bench knows")
    stanza = SOURCES.read_text().split("\n\n")[0]
    return re.sub(r"^Suites:.*$", f"Suites: {LATER}", stanza, flags=re.MULTILINE) + "\n"


def _upstream(version: str) -> str:
    return re.split(r"[+-]", version.partition(":")[2] or version)[0]


def _run(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr.strip()}")
    return done.stdout
