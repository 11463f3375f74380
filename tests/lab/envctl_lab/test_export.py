"""``envctl logs export``: one folder with everything a helper would ask for, and nothing that is secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envctl.export import ANYWHERE, ON_NODES, export
from tests.lab.envctl_lab.labs import a_lab


def test_the_folder_has_every_machine_and_no_key(tmp_path: Path) -> None:
    with a_lab(nodes={"workers": 0}) as lab:
        lab.install_plugin(lab.machine("master"))
        files = {str(path.relative_to(tmp_path)) for path in export(lab, tmp_path)}
    assert files == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    names = {Path(file).stem for file in files if file.startswith("master/")}
    assert names == set(ANYWHERE) | set(ON_NODES)
    assert {Path(file).stem for file in files if file.startswith("host/")} == set(ANYWHERE)
    assert {"status.json", "doctor.json", "envctl.yaml", "history.json", "logs/router/dnsmasq.log"} <= files
    assert "missing.txt" not in files
    assert json.loads((tmp_path / "master/uplink.json").read_text())["state"] == "none"
    assert "172.16.91.10/24" in (tmp_path / "master/address.txt").read_text()
    assert not [file for file in files if "PRIVATE KEY" in (tmp_path / file).read_text()]


@pytest.mark.parametrize("name", ["leases", "uplink"])
def test_what_fails_is_part_of_the_answer(name: str, tmp_path: Path) -> None:
    with a_lab(nodes={"workers": 0}) as lab:
        export(lab, tmp_path)
    assert "exit status 127" in (tmp_path / f"master/{name}.json").read_text()
