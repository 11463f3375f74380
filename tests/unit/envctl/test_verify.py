"""Running a suite and collecting what it found, with a suite of the test's own in place of the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl import verify
from envctl.errors import EnvctlError
from envctl.show import tables
from envctl.verify import Check, Report, run_suite
from tests.unit.envctl.fake import FakeProvider

CONFTEST = """
import pytest
from envctl.verify import Collector

@pytest.fixture
def provider(request):
    return next(p for p in request.config.pluginmanager.get_plugins() if isinstance(p, Collector)).provider

@pytest.fixture
def broken():
    raise RuntimeError("no such luck")

def pytest_collection_modifyitems(config, items):
    away = [item for item in items if item.get_closest_marker("needs")]
    config.hook.pytest_deselected(items=away)
    items[:] = [item for item in items if item not in away]
"""
TESTS = '''"""Shapes.

More about it.
"""
import pytest

def test_round(provider):
    """A wheel is round."""
    assert provider.config.name == "envctl"

def test_square_wheels_turn():
    assert 4 == 0, "it has corners"

def test_with_a_broken_fixture(broken):
    """This one never starts."""

@pytest.mark.needs(workers=3, why="needs three workers")
def test_elsewhere():
    """Triangles."""
'''


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tests" / "infra"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nmarkers = ["needs: what it needs"]\n'
    )
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / f"test_shapes_{tmp_path.name.replace('-', '_')}.py").write_text(TESTS)
    monkeypatch.setattr(verify, "SUITE", folder)
    return folder


def test_every_check_has_area_title_outcome_and_reason(suite: Path) -> None:
    notes: list[str] = []
    report = run_suite(FakeProvider(), notes.append)
    found = {
        (check.area, check.title, check.outcome, check.message.partition("\n")[0]) for check in report.checks
    }
    assert found == {
        ("Shapes", "A wheel is round", "passed", ""),
        ("Shapes", "square wheels turn", "failed", "it has corners"),
        ("Shapes", "This one never starts", "failed", "RuntimeError: no such luck"),
        ("Shapes", "Triangles", "not here", "needs three workers"),
    }
    assert notes == ["A wheel is round", "square wheels turn", "This one never starts"]
    assert not report.passed
    assert report.summary() == "1 of 3 checks passed, 1 do not apply here"


def test_checks_can_be_selected(suite: Path) -> None:
    report = run_suite(FakeProvider(), select="round")
    assert [check.title for check in report.checks if check.outcome == "passed"] == ["A wheel is round"]
    assert report.passed


def test_a_suite_that_cannot_be_read_is_a_failure(suite: Path) -> None:
    (suite / "test_bad_syntax.py").write_text("def")
    report = run_suite(FakeProvider())
    assert not report.passed
    assert any("SyntaxError" in check.message for check in report.checks)


def test_without_a_checkout_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verify, "SUITE", tmp_path / "nowhere")
    with pytest.raises(EnvctlError, match="the acceptance suite is not here"):
        run_suite(FakeProvider())


def test_nothing_verified_is_not_a_success() -> None:
    assert not Report(()).passed


def test_the_summary_counts_by_area() -> None:
    checks = [("Leases", "passed"), ("Leases", "failed"), ("Reach", "passed"), ("Reach", "not here")]
    report = Report(tuple(Check(str(n), area, "t", outcome, 0.1) for n, (area, outcome) in enumerate(checks)))  # type: ignore[arg-type]
    assert tables.verified(report).plain == "verified  ✗ Leases 1/2 · ✓ Reach 1/1"
