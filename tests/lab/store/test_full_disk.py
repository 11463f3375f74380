"""A disk that is really full: saving fails as a whole, and what was there stays as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envctl.providers.lab_plugin import COMPILED_SHIM, SHIM
from tests.lab.lan import Machine

ROOT = Path(__file__).parents[3]

SCRIPT = """
import os
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from brdhcp.errors import StoreFailure
from brdhcp.store.leases import Attachment, Store

one = Attachment(network="n", container_id="c1", if_name="eth0", state="bound")
store = Store(Path("/run/small/state"))
store.save(one)
ballast = os.open("/run/small/ballast", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(ballast, bytes(4096))
except OSError:
    os.close(ballast)
for attachment in (one.replace(netconf="x" * 9000), one.replace(container_id="c2", netconf="x" * 9000)):
    try:
        store.save(attachment)
    except StoreFailure as error:
        print(error.code, error.msg)
print(sorted(path.suffix for path in store.folder.iterdir()))
assert store.get(one.key) == one and len(store) == 1
store.close()
store = Store(Path("/run/small/state"))
assert [found for found in store] == [one] and store.damaged == []
assert store.delete(one.key)
print("deleted")
"""


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine("full") as machine:
        machine.run("mkdir /run/small")
        machine.run("mount -t tmpfs -o size=256k tmpfs /run/small")
        yield machine


def test_a_full_disk_fails_the_save_with_code_5_and_changes_nothing(machine: Machine) -> None:
    done = machine.run(f"{sys.executable} - {ROOT / 'plugin'}", stdin=SCRIPT)
    lines = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines[:2]] == ["5", "5"]
    assert all("No space left on device" in line for line in lines[:2])
    assert lines[2:] == ["['.json']", "deleted"]


@pytest.mark.parametrize("shim", [SHIM, COMPILED_SHIM], ids=["python", "compiled"])
def test_a_del_that_finds_the_disk_full_is_not_called_done(machine: Machine, shim: Path) -> None:
    machine.run("mkdir /run/small/spool")
    machine.run("dd if=/dev/zero of=/run/small/ballast bs=4k", check=False)
    env = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": "c1",
        "CNI_IFNAME": "eth0",
        "BRDHCP_SOCKET": "/run/nobody.sock",
        "BRDHCP_SPOOL": "/run/small/spool",
    }
    done = machine.run(str(shim), stdin='{"name": "n"}', env=env, check=False)
    assert done.returncode == 1
    assert '"code": 11' in done.stdout
    assert "No space left on device" in done.stdout
    assert machine.run("ls -A /run/small/spool").stdout == ""
