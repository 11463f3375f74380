"""What a power cut would leave on a disk."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from brdhcp.errors import StoreFailure
from brdhcp.store.files import sync_filesystem

from tests.lab.lan import Machine

ROOT = Path(__file__).parents[3]
SYNC = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from brdhcp.store.files import sync_filesystem
sync_filesystem(Path("/run/disk"))
"""


def left(machine: Machine) -> str:
    """What is read from a copy of the disk that nothing has been told to write out."""
    machine.run("cp /run/image /run/left")
    return machine.run("debugfs -R 'cat program' /run/left").stdout


def test_what_was_installed_a_second_ago_is_on_the_disk_once_its_file_system_is_synced() -> None:
    with Machine("powercut") as machine:
        for command in (
            "truncate -s 8M /run/image",
            "mke2fs -q -t ext4 /run/image",
            "mkdir /run/disk",
            "mount -o loop /run/image /run/disk",
        ):
            machine.run(command)
        machine.run("tee /run/disk/program", stdin="installed\n")
        assert left(machine) == ""
        machine.run(f"{sys.executable} - {ROOT / 'plugin'}", stdin=SYNC)
        assert left(machine) == "installed\n"


def test_a_file_system_that_cannot_be_synced_is_named_before_anything_is_changed(tmp_path: Path) -> None:
    with pytest.raises(StoreFailure, match=str(tmp_path / "gone")) as raised:
        sync_filesystem(tmp_path / "gone")
    assert "nothing was changed" in raised.value.details
