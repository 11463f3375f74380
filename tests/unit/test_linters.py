"""The linters are tests: style, types, layers, shell, and the sizes of modules and functions."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MODULE_LINES, FUNCTION_LINES = 400, 50


def tracked(*patterns: str) -> list[Path]:
    """The files of the checkout that git knows or would add, by glob."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def clean(*argv: str | Path) -> None:
    done = subprocess.run(list(map(str, argv)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, f"{' '.join(map(str, argv[:3]))}\n{done.stdout}{done.stderr}"


def test_ruff_has_nothing_to_say() -> None:
    clean(BIN / "ruff", "check", "--no-cache", ".")


def test_the_code_is_formatted() -> None:
    clean(BIN / "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.timeout(300)
def test_the_types_hold() -> None:
    clean(BIN / "mypy", "--strict")


def test_the_layers_hold() -> None:
    clean(BIN / "lint-imports", "--no-cache")


def shell_files() -> Iterator[Path]:
    for path in tracked(":!*.py", ":!*.md"):
        with path.open("rb") as file:
            first = file.readline(80)
        if path.suffix == ".sh" or (first.startswith(b"#!") and first.rstrip().endswith((b"sh", b"bash"))):
            yield path


def test_shellcheck_has_nothing_to_say() -> None:
    files = list(shell_files())
    assert {".ci/run", "provision/install.sh"} <= {str(path.relative_to(ROOT)) for path in files}
    clean("shellcheck", "--external-sources", *files)


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in tracked("*.py")}
    long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines >= MODULE_LINES}
    assert not long, f"modules stay under {MODULE_LINES} lines"


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    long = {
        name: lines for path in tracked("*.py") for name, lines in functions(path) if lines >= FUNCTION_LINES
    }
    assert not long, f"functions stay under {FUNCTION_LINES} lines"


def test_every_module_says_why_it_exists() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent
