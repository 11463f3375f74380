"""The tool that walks through pages: what it takes for a command, a promise, a file, and a difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.walk import Command, File, pattern, plain, steps, understood, walk

PAGE = """# A page

```yaml title="a.yaml"
version: 1
```

```console
# echo one; cat a.yaml
one
version: …
# true
```

```text
# not a command
```
"""


def test_commands_and_files_are_found_in_order_with_their_lines() -> None:
    assert list(steps(PAGE)) == [
        File(4, "a.yaml", "version: 1\n"),
        Command(8, "echo one; cat a.yaml", "one\nversion: …"),
        Command(11, "true", ""),
    ]


@pytest.mark.parametrize(
    ("promised", "printed", "same"),
    [
        ("a", "a", True),
        ("a", "a\nb", False),
        ("", "", True),
        ("", "words", False),
        ("took … s", "took 0.12 s", True),
        ("took … s", "took\n1 s", False),
        ("a\n…\nz", "a\nz", True),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a\n…", "b\nc", False),
        ("a  b", "a      b  ", True),
        ("a  b", "ab", False),
        ("(1.5)", "(125)", False),
    ],
)
def test_what_is_printed_is_compared_as_a_whole(promised: str, printed: str, same: bool) -> None:
    assert bool(pattern(promised).fullmatch(plain(printed))) is same


def test_a_page_is_walked_in_a_folder_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert walk(page, tmp_path, "none") == 2


def test_a_broken_promise_names_page_line_promise_and_truth(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("\none\n", "\ntwo\n"))
    with pytest.raises(AssertionError, match=r"page.md:8: echo one(?s:.*)promised:\ntwo(?s:.*)printed:\none"):
        walk(page, tmp_path, "none")


def test_a_command_that_fails_is_a_broken_promise(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n# exit 3\n```\n")
    with pytest.raises(AssertionError, match="exit status 3"):
        walk(page, tmp_path, "none")


def test_what_needs_the_internet_is_told_apart_and_not_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console online\n# exit 3\n```\n")
    assert list(steps(page.read_text())) == [Command(2, "exit 3", "", online=True)]
    assert walk(page, tmp_path, "none") == 0


@pytest.mark.parametrize(
    "words", ["envctl up --guest debian12", "envctl logs export x | cat", "make test-vm"]
)
def test_a_command_is_understood_by_the_program_that_it_is_for(words: str) -> None:
    understood(words)


@pytest.mark.parametrize(
    "words",
    ["envctl up --gest debian12", "envctl logs exprt x", "envctl bandle", "make test-wm", "ls && nosuch x"],
)
def test_a_verb_or_an_option_that_there_is_not_is_found(words: str) -> None:
    with pytest.raises(AssertionError):
        understood(words)
