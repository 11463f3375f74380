"""Every command of the tutorial and the how-tos is typed, and prints what the page says that it prints."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.docs.walk import Command, File, steps, understood, walk
from tests.lab.envctl_lab.labs import fresh_name, removed_at_the_end
from tests.unit.test_linters import ROOT

DOCS = ROOT / "docs"
TUTORIAL, CHINESE = DOCS / "tutorial/index.md", DOCS / "zh/tutorial.md"
WITH_A_HYPERVISOR = {DOCS / "how-to/virtual-machine.md", DOCS / "how-to/centos7.md"}
"""Walked by the ring that has virtual machines, but for what needs the internet."""
ON_A_NODE = {DOCS / "how-to/install.md"}
"""Walked where it is meant to be walked: test_install."""
PAGES = [TUTORIAL, *sorted(set(DOCS.glob("how-to/*.md")) - WITH_A_HYPERVISOR - ON_A_NODE)]
Walks = dict[Path, Future[int]]


@pytest.fixture(scope="module")
def walks() -> Iterator[Walks]:
    """All pages, each in an environment and a folder of its own, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        yield {page: pool.submit(_walk, page) for page in PAGES}


def _walk(page: Path) -> int:
    name = fresh_name()
    with removed_at_the_end(name), tempfile.TemporaryDirectory() as folder:
        return walk(page, Path(folder), name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, walks: Walks) -> None:
    commands = [step for step in steps(page.read_text()) if isinstance(step, Command)]
    assert walks[page].result() == len(commands) > 0


@pytest.mark.parametrize("page", sorted(WITH_A_HYPERVISOR), ids=lambda page: page.stem)
def test_what_is_not_walked_here_is_at_least_understood(page: Path) -> None:
    commands = [step for step in steps(page.read_text()) if isinstance(step, Command)]
    assert commands
    for command in commands:
        understood(command.words)


def test_the_chinese_tutorial_has_the_same_files_and_commands() -> None:
    def said(page: Path) -> list[tuple[str, str]]:
        return [
            (step.name, step.text) if isinstance(step, File) else (step.words, step.output)
            for step in steps(page.read_text())
        ]

    assert said(CHINESE) == said(TUTORIAL)
