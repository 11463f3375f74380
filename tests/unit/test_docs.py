"""The reference pages name everything there is, and links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from envctl.cli.app import app
from envctl.config import Config
from tests.unit.test_linters import ROOT, tracked

PAGES = tracked("*.md")


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, field in model.model_fields.items():
        key, kind = prefix + (field.alias or name), field.annotation
        nested = isinstance(kind, type) and issubclass(kind, BaseModel)
        found += keys(kind, f"{key}.") if nested else [key]  # type: ignore[arg-type]
    return found


def test_every_key_of_the_configuration_is_documented() -> None:
    page = (ROOT / "docs/reference/configuration.md").read_text().replace("`.last`", "`network.dhcp.last`")
    assert not [key for key in keys(Config) if f"`{key}`" not in page]


def test_every_verb_is_documented() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text()
    command = typer.main.get_command(app)
    verbs = list(getattr(command, "commands", {}))
    assert len(verbs) > 10
    assert not [verb for verb in verbs if f"`{verb}" not in page]


def verbs(command: Any = None, name: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each verb that can be typed, with its options."""
    command = command or typer.main.get_command(app)
    below = getattr(command, "commands", {})
    if name and (not below or command.invoke_without_command):
        yield name, {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    for word, verb in below.items():
        yield from verbs(verb, f"{name} {word}".strip())


def test_the_options_that_verbs_share_are_those_of_the_page() -> None:
    page = (ROOT / "docs/reference/commands.md").read_text()

    def named(lead: str) -> set[str]:
        (sentence,) = re.findall(rf"{lead}[^:.]*: ([^.]*)\.", page)
        return set(re.findall(r"`([^`-][^`]*)`", sentence))

    without = {
        option: {verb for verb, options in verbs() if option not in options} for option in ("-f", "-n", "-o")
    }
    assert named("With neither") == without["-f"] & without["-n"]
    assert named("Without `-f`") == without["-f"] - without["-n"]
    assert named("Without `-n`") == without["-n"] - without["-f"]
    assert named("Without `-o`") == without["-o"]


def test_the_page_of_commands_names_no_option_that_is_not_there() -> None:
    known = {option for _, options in verbs() for option in options} | {"--install-completion"}
    page = (ROOT / "docs/reference/commands.md").read_text()
    assert not set(re.findall(r"--[a-z][a-z-]+", page)) - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in local if not (page.parent / link).exists()]
