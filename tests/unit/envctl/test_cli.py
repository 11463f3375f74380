"""The command line: exit codes, where words go, and how soon it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from envctl.cli import main

SLOW = {
    "fabric",
    "paramiko",
    "pytest",
    "testinfra",
    "vagrant",
    "pyroute2",
    "cryptography",
    "pydantic",
    "ruamel",
}


def test_help_imports_nothing_that_is_slow() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "envctl", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines())
    assert not {name.partition(".")[0] for name in names} & SLOW
    assert "config" in done.stdout


def test_a_bad_file_is_exit_code_2_and_standard_output_stays_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "envctl.yaml"
    file.write_text("version: 1\nnmae: x\n")
    assert main(["config", "validate", "-f", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "line 2: nmae is not a key; did you mean name?" in said.err
    assert "what to do:" in said.err


def test_a_misspelled_verb_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["confgi"]) == 2
    assert "config" in capsys.readouterr().err


def test_an_error_is_data_when_json_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "envctl.yaml"
    file.write_text("version: 9\n")
    assert main(["config", "view", "-o", "json", "-f", str(file)]) == 2
    body = json.loads(capsys.readouterr().out)
    assert body["exit_code"] == 2
    assert body["faults"][0]["key"] == "version"


@pytest.mark.parametrize("form", ["json", "yaml", "table"])
def test_view_writes_every_form(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["config", "view", "-o", form]) == 0
    assert "mybr0" in capsys.readouterr().out


def test_init_writes_a_file_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "envctl.yaml"
    assert main(["config", "init", str(file)]) == 0
    assert main(["config", "validate", "-f", str(file)]) == 0
    assert main(["config", "init", str(file)]) == 2
    assert "--force" in capsys.readouterr().err


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "envctl.yaml"


def test_snapshots_are_listed_as_data_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = SimpleNamespace(snapshot=lambda verb, name: "good\nbetter" if verb == "list" else name)
    monkeypatch.setattr("envctl.cli.machine._virtual", lambda *_: machine)
    assert main(["snapshot", "list"]) == 0
    assert capsys.readouterr().out == "good\nbetter\n"
    assert main(["snapshot", "list", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["good", "better"]
    assert main(["snapshot", "save", "best", "-o", "yaml"]) == 0
    assert capsys.readouterr().out == "save: best\n"
