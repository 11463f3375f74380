"""The reference pages name everything there is, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in local if not (page.parent / link).exists()]
