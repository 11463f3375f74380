"""What the machine's own package index offers, asked for without touching the machine's configuration.

The sources are those that are configured on this machine, as apt itself reports them; no host name of an
archive is written anywhere in this project.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from envctl.box.run import BoxError, run

RELEASE = "bookworm"


@dataclass(frozen=True)
class Source:
    """One configured archive of the distribution."""

    uri: str
    suite: str
    component: str

    def line(self, kind: str) -> str:
        """The one-line form: ``deb`` or ``deb-src``."""
        return f"{kind} {self.uri} {self.suite} {self.component}"


def parse_sources(report: str) -> list[Source]:
    """Sources from lines of ``uri suite component``, without repeats, in a stable order."""
    found = {Source(*words) for words in (line.split() for line in report.splitlines()) if len(words) == 3}
    return sorted(found, key=lambda source: (source.suite, source.uri, source.component))


def configured_sources() -> list[Source]:
    """Debian's own archives among the configured ones, of the release the box is made from."""
    report = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
         "Created-By: Packages", "Origin: Debian"]
    )  # fmt: skip
    sources = [source for source in parse_sources(report) if source.suite.startswith(RELEASE)]
    if not sources:
        raise BoxError(
            f"apt knows no archive of Debian {RELEASE} on this machine",
            hint=f"The box is made from Debian {RELEASE}; configure its archive and run: apt-get update",
        )
    return sources


@dataclass(frozen=True)
class Apt:
    """A private apt: its own lists and caches under ``home``, the machine's archives with their sources."""

    home: Path

    def configure(self) -> None:
        """Write the configuration and fetch the lists."""
        for folder in ("lists/partial", "cache/archives/partial"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        sources = configured_sources()
        lines = [source.line(kind) for source in sources for kind in ("deb", "deb-src")]
        (self.home / "sources.list").write_text("\n".join(lines) + "\n")
        (self.home / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{self.home}/sources.list";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            f'Dir::State::lists "{self.home}/lists";\n'
            f'Dir::Cache "{self.home}/cache";\n'
            'APT::Sandbox::User "root";\n'
        )
        self._run("apt-get", "-qq", "update")

    def _run(self, *argv: str, cwd: Path | None = None) -> str:
        return run(argv, cwd=cwd, env={"APT_CONFIG": str(self.home / "apt.conf")})

    def versions(self, packages: Iterable[str]) -> dict[str, str]:
        """The candidate version of each package. Raises BoxError naming those the index does not have."""
        wanted = sorted(packages)
        report = self._run("apt-cache", "policy", *wanted)
        found = parse_policy(report)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise BoxError(f"the package index has no {', '.join(missing)}")
        return {name: found[name] for name in wanted}

    def source_version(self, package: str) -> str:
        """The version of a source package."""
        for line in self._run("apt-cache", "showsrc", "--only-source", package).splitlines():
            if line.startswith("Version: "):
                return line.removeprefix("Version: ")
        raise BoxError(f"the package index has no source package {package}")

    def fetch_source(self, package: str, folder: Path) -> Path:
        """Download a source package into ``folder``; gives its .dsc."""
        self._run("apt-get", "-qq", "source", "--download-only", package, cwd=folder)
        return next(folder.glob(f"{package}_*.dsc"))


def parse_policy(report: str) -> dict[str, str]:
    """Package → candidate version, from ``apt-cache policy``; packages without a candidate are left out."""
    found: dict[str, str] = {}
    name = ""
    for line in report.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            name = line[:-1]
        elif line.strip().startswith("Candidate: "):
            version = line.split(": ", 1)[1]
            if version != "(none)":
                found[name] = version
    return found
