"""The site: built strictly, nothing fetched from outside, pictures of today's code, pages that a browser shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.browser import Browser
from tests.unit.test_linters import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, in a folder of the test's own; a warning is a failure."""
    folder = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "sphinx", "-E", "-W", "--keep-going", "-q", "-d", str(folder / ".doctrees")]
    done = subprocess.run([*argv, "docs", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_site_and_in_its_contents(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert not [page for page in pages if not (site / page).exists()]
    home = (site / "index.html").read_text()
    assert not [page for page in pages if str(page) != "index.html" and f'href="{page}"' not in home]


def test_nothing_is_fetched_from_outside(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//', re.I)
    assert not [path.name for path in site.rglob("*.html") if loaded.search(path.read_text())]
    assert not [path.name for path in site.rglob("*.css") if re.search(r"url\(.?https?:", path.read_text())]


def test_the_pictures_are_of_todays_code(site: Path) -> None:
    fresh = subprocess.run(
        ["git", "diff", "--exit-code", "--stat", "--", "docs/before.svg", "docs/after.svg"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert fresh.returncode == 0, f"make docs drew other pictures; commit them:\n{fresh.stdout}"


@pytest.mark.parametrize("page", ["index.html", "zh/tutorial.html"])
def test_a_browser_shows_a_page_without_a_complaint(site: Path, page: str, tmp_path: Path) -> None:
    seen = Browser(tmp_path).open(site / page, width=1280, height=900)
    assert seen.complaints == []
    assert "LAN" in seen.document or "局域网" in seen.document
    assert seen.picture.stat().st_size > 30_000
