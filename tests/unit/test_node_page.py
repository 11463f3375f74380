"""docs/reference/node.md against the programs: every command, option, default and event, and no other."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

from brdhcp import ctl
from brdhcp.agent import main as agent

from tests.unit.test_linters import ROOT

PAGE = (ROOT / "docs/reference/node.md").read_text()
OWN_OPTIONS = {"-h", "--help"}
COMMON = {"-o", "--output", "--state-dir"}


def rows(heading: str) -> Iterator[list[str]]:
    """The rows of the table whose head begins with these words, cell by cell."""
    table = PAGE.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings} - OWN_OPTIONS


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's commands."""
    return {
        name: one
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, one in action.choices.items()
    }


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for name in ctl.COMMANDS:
        parser = below(ctl.parser(name))[name]
        verbs = below(parser)
        yield from ((f"{name} {verb}", one) for verb, one in verbs.items()) if verbs else [(name, parser)]


def test_the_agents_options_and_defaults_are_those_of_the_page() -> None:
    told = {quoted(option)[0]: default.strip("`") for option, default, _ in rows("option")}
    parser = agent.parser()
    assert set(told) == options(parser)
    for action in parser._actions:
        if isinstance(action.default, str | float | Path) and action.default != argparse.SUPPRESS:
            shown = f"{action.default:g}" if isinstance(action.default, float) else str(action.default)
            assert told[action.option_strings[0]] == shown


def test_the_commands_and_their_options_are_those_of_the_page() -> None:
    told = {quoted(command)[0]: set(quoted(further)) for command, further, _ in rows("command")}
    assert told == {name: options(parser) - COMMON for name, parser in commands()}


def test_every_command_takes_the_options_that_the_page_says_of_all() -> None:
    assert not [name for name, parser in commands() if not options(parser) >= COMMON]
    intro = PAGE.partition("## brdhcpctl")[2].partition("\n| command")[0]
    assert set(quoted(intro)) >= COMMON


def test_what_o_may_be_is_what_the_page_says() -> None:
    tables, texts = re.findall(r"`(table|text)` or `json` for ([^;]*)", PAGE)
    for form, names in (tables, texts):
        for name, parser in commands():
            (output,) = [action for action in parser._actions if "--output" in action.option_strings]
            assert (form in (output.choices or ())) == (name.split()[0] in quoted(names)), f"{name}: {form}"
            assert output.default != "json" and "json" in (output.choices or ())


def events() -> set[str]:
    """The names of all events in the code of the plugin."""
    found = set()
    for path in (ROOT / "plugin/brdhcp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called in ("Event", "event", "events", "_events", "tell"):
                    found.add(str(node.args[0].value))
    return found


def test_the_events_are_those_of_the_page() -> None:
    told = [name for event, _ in rows("event") for name in quoted(event)]
    assert len(told) == len(set(told))
    assert set(told) == events()
