"""Is it true? Runs the acceptance suite against an environment, in this process, and collects what it found.

The suite is ``tests/infra`` of the checkout: ordinary pytest files, the same for every provider. pytest is
imported when the suite runs, with no plugin but the one below, since most of its start is plugins.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from envctl.errors import EnvctlError
from envctl.plan import Note
from envctl.show.words import count

if TYPE_CHECKING:
    import pytest

    from envctl.providers.base import Provider

SUITE = Path(__file__).parents[1] / "tests" / "infra"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was verified. ``message`` is why it failed, or why it does not apply here."""

    id: str
    area: str
    title: str
    outcome: Literal["passed", "failed", "not here"]
    seconds: float
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What the suite found."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and not any(check.failed for check in self.checks)

    def summary(self) -> str:
        """``24 of 24 checks passed``"""
        run = [check for check in self.checks if check.outcome != "not here"]
        good = sum(check.outcome == "passed" for check in run)
        away = len(self.checks) - len(run)
        return f"{good} of {count(len(run), 'check')} passed" + (
            f", {away} do not apply here" if away else ""
        )

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON and YAML."""
        return {"passed": self.passed, "checks": [dataclasses.asdict(check) for check in self.checks]}


class Collector:
    """The pytest plugin: hands the provider to the fixtures and writes down the outcome of each test."""

    def __init__(self, provider: Provider, note: Note) -> None:
        self.provider = provider
        self.note = note
        self.checks: list[Check] = []
        self._titles: dict[str, tuple[str, str]] = {}
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self.interrupted = False

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """A person's, or pytest's own after a file that it could not read."""
        import pytest

        self.interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            self._titles[item.nodeid] = title_of(item)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for item in items:
            area, title = title_of(item)
            why = next((str(mark.kwargs.get("why", "")) for mark in item.iter_markers("needs")), "")
            self.checks.append(Check(item.nodeid, area, title, "not here", 0.0, why))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.note(self._titles[nodeid][1])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        taken = self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.nodeid in self._failed:
            return
        area, title = self._titles[report.nodeid]
        if report.failed:
            self._failed.add(report.nodeid)
            self.checks = [check for check in self.checks if check.id != report.nodeid]
            self.checks.append(Check(report.nodeid, area, title, "failed", taken, _why(report)))
        elif report.when == "call":
            self.checks.append(Check(report.nodeid, area, title, "passed", taken))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.checks.append(
                Check(report.nodeid, "suite", "collecting the suite", "failed", 0.0, report.longreprtext)
            )


def title_of(item: pytest.Item) -> tuple[str, str]:
    """The area (first line of the module's docstring) and the title (first line of the test's own)."""
    function = getattr(item, "function", None)
    module = getattr(item, "module", None)
    title = (getattr(function, "__doc__", "") or item.name.removeprefix("test_").replace("_", " ")).strip()
    area = (getattr(module, "__doc__", "") or item.nodeid).strip()
    return area.splitlines()[0].rstrip("."), title.splitlines()[0].rstrip(".")


def _why(report: pytest.TestReport) -> str:
    """What the assertion says; without words of its own, what was compared. Tracebacks are for pytest
    itself.
    """
    crash = getattr(report.longrepr, "reprcrash", None)
    message = str(crash.message) if crash is not None else report.longreprtext
    message = message.removeprefix("AssertionError: ").strip()
    words = message.partition("\nassert ")[0]
    return "\n".join(line for line in words.splitlines() if not line.startswith(" +"))


def run_suite(provider: Provider, note: Note = lambda _text: None, select: str = "") -> Report:
    """Run the acceptance suite against what ``provider`` finds now; ``select`` is pytest's ``-k``.

    Raises EnvctlError when the suite itself cannot be run.
    """
    if not SUITE.is_dir():
        raise EnvctlError(
            "the acceptance suite is not here",
            cause=f"there is no {SUITE}",
            hint="envctl verify needs a checkout of the project: pip install -e .",
        )
    import pytest

    collector = Collector(provider, note)
    status = pytest.main(_arguments(select), plugins=[collector])
    if collector.interrupted:
        raise KeyboardInterrupt
    if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise EnvctlError("the acceptance suite ended early", cause=f"pytest: {pytest.ExitCode(status).name}")
    return Report(tuple(collector.checks))


def _arguments(select: str) -> list[str]:
    root = SUITE.parents[1]
    off = ("terminal", "cacheprovider", "junitxml", "pastebin", "doctest", "unittest", "stepwise",
           "faulthandler", "setuponly", "setupplan", "logging", "legacypath", "debugging",
           "unraisableexception", "threadexception")  # fmt: skip
    arguments = [str(SUITE), "--capture=no", f"--rootdir={root}", f"--config-file={root / 'pyproject.toml'}",
                 "--override-ini=addopts=", "--disable-plugin-autoload"]  # fmt: skip
    arguments += [word for name in off for word in ("-p", f"no:{name}")]
    return [*arguments, "-k", select] if select else arguments


def environment_of_suite() -> tuple[str | None, str | None]:
    """File and name of the environment when pytest itself runs the suite: ENVCTL_FILE and ENVCTL_NAME."""
    return os.environ.get("ENVCTL_FILE"), os.environ.get("ENVCTL_NAME")
