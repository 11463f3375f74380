"""Runs the command blocks of a page as a reader would type them, and compares what they print with the page.

A ``console`` block holds commands after the prompt ``# `` and below each the output that the page promises:
all of it, in order. ``…`` stands for anything within a line, a line that is only ``…`` for any lines, also
none, and a run of spaces for another one (columns move with what is in them). A block with ``title="NAME"``
is a file that the reader writes first. Commands of a ``console online`` block need the internet: they are not run,
but :func:`understood` by the program that they are for.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from envctl.cli.app import app
from tests.unit.test_linters import ROOT

PROMPT = "# "
ANY = "…"
FENCE = re.compile(r"^```(?P<kind>\w+)(?P<options>[^\n]*)\n(?P<body>.*?)^```$", re.M | re.S)
TITLE = re.compile(r'title="([^"]+)"')
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class File:
    """A file of the page."""

    line: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the page, and the output that it promises."""

    line: int
    words: str
    output: str
    online: bool = False


Step = File | Command


def steps(markdown: str) -> Iterator[Step]:
    """What a reader does, in order."""
    for fence in FENCE.finditer(markdown):
        line = markdown.count("\n", 0, fence.start()) + 2
        title = TITLE.search(fence["options"])
        if fence["kind"] == "console":
            yield from _commands(fence["body"], line, "online" in fence["options"].split())
        elif title is not None:
            yield File(line, title[1], fence["body"])


def _commands(body: str, first: int, online: bool) -> Iterator[Command]:
    words, at, promised = "", first, list[str]()
    for number, line in enumerate(body.splitlines(), first):
        if line.startswith(PROMPT):
            if words:
                yield Command(at, words, "\n".join(promised), online)
            words, at, promised = line.removeprefix(PROMPT), number, []
        else:
            promised.append(line)
    if words:
        yield Command(at, words, "\n".join(promised), online)


def pattern(promised: str) -> re.Pattern[str]:
    """What the output must match as a whole."""
    parts = []
    for line in promised.splitlines():
        if line.strip() == ANY:
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            words = "[^\\n]*?".join(map(re.escape, line.rstrip().split(ANY)))
            parts.append(re.sub(r"(?:\\ )+", " +", words) + "\\n")
    return re.compile("".join(parts))


def plain(printed: str) -> str:
    """Output without spaces at the ends of lines, and with an end of line after the last one."""
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    return "".join(f"{line}\n" for line in lines)


def understood(words: str) -> None:
    """Have the program that a command is for read its arguments, and do nothing. Raises AssertionError.

    Known are envctl (click's own parser) and make (its targets); of a pipeline, or of a list, every part.
    """
    for part in re.split(r"\s(?:&&|\|\||[|;&])\s", words):
        program, *arguments = shlex.split(part)
        if program == "envctl":
            _parsed(typer.main.get_command(app), "envctl", arguments)
        elif program == "make":
            done = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, f"{words}: {done.stderr}"
        else:
            assert shutil.which(program), f"{words}: there is no {program}"


def _parsed(command: Any, name: str, arguments: list[str]) -> None:
    """By the command's own parser; a group hands the rest to the verb that comes first."""
    verbs = getattr(command, "commands", {})
    if verbs and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in verbs, f"{name} {arguments[0]}: there is no such verb"
        _parsed(verbs[arguments[0]], f"{name} {arguments[0]}", arguments[1:])
        return
    try:
        command.make_context(name, list(arguments))
    except Exception as error:
        assert hasattr(error, "format_message"), error
        raise AssertionError(f"{name} {shlex.join(arguments)}: {error.format_message()}") from error


def here(words: str) -> list[str]:
    """A command line as it is started on this machine."""
    return ["bash", "-c", words]


def walk(
    page: Path, where: Path, environment: str, *, timeout_s: float = TIMEOUT_S, without: Collection[str] = (),
    start: Callable[[str], list[str]] = here,
) -> int:  # fmt: skip
    """Do what a page says in the folder ``where``, with ``environment`` as the default one. Answers the commands run.

    ``without`` are commands that are left out; so are those that need the internet. ``start`` says what is started for
    a command line, where it is not for this machine.

    Raises AssertionError with page, line, command, promise and truth at the first difference.
    """
    variables = {key: value for key, value in os.environ.items() if not key.startswith("ENVCTL_")}
    variables |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "ENVCTL_NAME": environment,
        "COLUMNS": "110", "NO_COLOR": "1",
    }  # fmt: skip
    done = 0
    for step in steps(page.read_text()):
        if isinstance(step, File):
            (where / step.name).write_text(step.text)
            continue
        if step.online or step.words in without:
            continue
        ran = subprocess.run(
            start(step.words), cwd=where, env=variables, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False,
        )  # fmt: skip
        printed = plain(ran.stdout)
        place = f"{page.name}:{step.line}: {step.words}"
        assert ran.returncode == 0, f"{place}\nexit status {ran.returncode}:\n{printed}"
        promised = f"promised:\n{step.output}\nprinted:\n{printed}"
        assert pattern(step.output).fullmatch(printed), f"{place}\n{promised}"
        done += 1
    return done


def main() -> None:
    """``python -m tests.docs.walk PAGE...``: walk pages by hand, each in an environment named ``walk``."""
    import tempfile

    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            print(name, walk(Path(name), Path(folder), "walk"))


if __name__ == "__main__":
    main()
