"""Everything that a report shows, looked up once: the environment as it is, its history, a capture, its logs."""

from __future__ import annotations

import platform
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl import history
from envctl.capture import DHCP, Place, Recorder
from envctl.environment import observe
from envctl.errors import EnvctlError
from envctl.facts import Facts
from envctl.pcapng import Frame
from envctl.report.exchanges import Exchange, exchanges

if TYPE_CHECKING:
    from envctl.plan import Note
    from envctl.providers.base import Provider
    from envctl.verify import Report

LOG_LINES = 400
PROGRAMS = {
    "kernel": "uname -r", "iproute2": "ip -V", "dnsmasq": "dnsmasq --version", "nftables": "nft --version",
    "tcpdump": "tcpdump --version",
}  # fmt: skip


@dataclass(slots=True)
class Gathered:
    """What is shown. ``logs`` are (path, last lines, lines left out).

    ``captured`` names the file that the exchanges were read from; empty when they were captured for this report, or not
    at all (no ``verification``).
    """

    facts: Facts
    made_at: float
    configuration: str
    history: dict[str, dict[str, Any]]
    verification: Report | None
    exchanges: list[Exchange]
    captured: str
    versions: dict[str, str]
    logs: list[tuple[str, str, int]] = field(default_factory=list)


def gather(
    provider: Provider,
    verify: Callable[[Note], Report] | None,
    note: Note,
    captured: tuple[str, Sequence[Frame]] | None = None,
) -> Gathered:
    """Look everything up. DHCP is captured on the bridges while the suite runs, unless ``captured`` says otherwise: a
    file's name and its frames.
    """
    from envctl.configfile import dump

    config = provider.config
    report: Report | None = None
    file, seen = (captured[0], list(captured[1])) if captured else ("", [])
    note("looking at the environment")
    facts = observe(provider)
    with _recording(provider, seen) if captured is None and verify is not None else nullcontext():
        if verify is not None:
            report = verify(note)
            note("every lease is renewed once")
            for node in provider.nodes():
                node.run("brdhcpctl renew", check=False)
    names = {pod.mac: pod.name for pod in facts.pods} | _books(provider)
    note("collecting logs and versions")
    return Gathered(
        facts, time.time(), dump(config), history.recall(config), report, exchanges(seen, names), file,
        _versions(provider), _logs(provider),
    )  # fmt: skip


def _books(provider: Provider) -> dict[str, str]:
    return {lease.mac: lease.hostname for lease in provider.server_leases() if lease.hostname}


def _recording(provider: Provider, into: list[Frame]) -> AbstractContextManager[None]:
    bridge = provider.config.bridge
    there = [
        Place(node, bridge)
        for node in provider.nodes()
        if node.run("test -e %s", f"/sys/class/net/{bridge}", check=False).exit_status == 0
    ]
    return _Background(there, into) if there else nullcontext()


class _Background:
    """Captures into a list while something else is being done."""

    def __init__(self, places: Sequence[Place], into: list[Frame]) -> None:
        self._recorder = Recorder(places, DHCP)
        self._into = into
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._end = False

    def _run(self) -> None:
        while not self._end and self._recorder.listening:
            self._into.extend(self._recorder.frames(until=time.monotonic() + 0.2))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end = True
        self._thread.join()
        self._into.extend(self._recorder.rest())
        self._recorder.close()


def _versions(provider: Provider) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("envctl", "brdhcp", "pyroute2"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed here"
    node = next(iter(provider.nodes()), None)
    for name, command in PROGRAMS.items():
        done = None if node is None else node.run(f"{command} 2>&1", check=False)
        words = done.stdout.strip().splitlines()[:1] if done is not None and done.exit_status == 0 else []
        found[name] = words[0] if words else "not there"
    return found


def _logs(provider: Provider) -> list[tuple[str, str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = provider.logs(Path(folder))
        except EnvctlError as error:
            return [("logs", str(error), 0)]
        found = []
        for path in files:
            lines = path.read_text(errors="replace").splitlines()
            shown = "\n".join(lines[-LOG_LINES:])
            found.append((str(path.relative_to(folder)), shown, max(len(lines) - LOG_LINES, 0)))
        return found
