"""Steps of the centos7 guest, run as they are in a root file system of their own, over files that are on disk."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envctl.provision.steps import PROVISION
from tests.lab.lan import Machine

ROOT = "/mnt/root"
STEP = "/usr/local/lib/envctl/steps/binaries.sh"


def serve(file: dict[str, Any], folder: Path) -> None:
    """Put something of that name and kind on disk, and have the lock file ask for exactly this."""
    path = folder / file["name"]
    content = f"#!/bin/sh\necho {path.name}\n".encode()
    if "unpack" in file:
        with tarfile.open(path, "w:gz") as tar:
            entry = tarfile.TarInfo(f"{path.name}.content")
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    else:
        path.write_bytes(content)
    file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    file["urls"] = [(folder / "absent").as_uri(), path.as_uri()]


@pytest.fixture
def files(tmp_path: Path) -> list[dict[str, Any]]:
    """What was uploaded to a guest, in ``tmp_path``; the entries of its lock file, all of which are on disk."""
    uploaded = tmp_path / "uploaded"
    for part in ("steps", "kubernetes", "centos7"):
        shutil.copytree(PROVISION / part, uploaded / "provision" / part)
    (uploaded / "wheels").mkdir()
    lock = json.loads((PROVISION / "lock.json").read_text())
    entries: list[dict[str, Any]] = lock["guests"]["centos7"]["files"]
    for entry in entries:
        serve(entry, tmp_path)
    (uploaded / "provision/lock.json").write_text(json.dumps(lock))
    return entries


@pytest.fixture
def guest(tmp_path: Path, files: list[dict[str, Any]]) -> Iterator[Machine]:
    """This machine's files, to be written to at will, settled as a centos7 guest."""
    machine = Machine("centos7")
    try:
        machine.run("mount -t tmpfs tmpfs /mnt")
        machine.run(f"mkdir {ROOT} /mnt/upper /mnt/work")
        layers = "lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work"
        machine.run(f"mount -t overlay overlay -o {layers} {ROOT}")
        for folder in ("proc", "dev"):
            machine.run(f"mount --rbind /{folder} {ROOT}/{folder}")
        settle = tmp_path / "uploaded/provision/steps/settle.sh"
        machine.run(f"chroot {ROOT} bash {settle} centos7 {tmp_path}/uploaded")
        yield machine
    finally:
        machine.close()


def read(guest: Machine, path: str) -> str:
    return guest.run(f"chroot {ROOT} cat {path}").stdout


def test_programs_come_by_checksum_to_their_places_and_the_kubelet_starts_at_boot(
    guest: Machine, files: list[dict[str, Any]]
) -> None:
    assert "kubeadm is not in its place" in guest.run(f"chroot {ROOT} {STEP} is-done", check=False).stderr
    guest.run(f"chroot {ROOT} {STEP} run")
    for file in files:
        place = file.get("to") or f"{file['unpack']}/{file['name']}.content"
        assert guest.run(f"chroot {ROOT} {place}").stdout == f"{file['name']}\n"
    units = "/etc/systemd/system"
    assert read(guest, f"{units}/kubelet.service") == (PROVISION / "centos7/kubelet.service").read_text()
    drop_in = read(guest, f"{units}/kubelet.service.d/10-kubeadm.conf")
    assert drop_in == (PROVISION / "centos7/10-kubeadm.conf").read_text()
    guest.run(f"chroot {ROOT} test -L {units}/multi-user.target.wants/kubelet.service")
    found = guest.run(f"chroot {ROOT} systemd-analyze verify --man=no kubelet.service", check=False)
    assert "kubelet" not in found.stdout + found.stderr
    assert guest.run(f"chroot {ROOT} {STEP} run").stdout == "binaries: was done\n"


def test_a_program_that_was_changed_is_put_right(guest: Machine) -> None:
    guest.run(f"chroot {ROOT} {STEP} run")
    guest.run(f"chroot {ROOT} sh -c 'echo exit 1 >>/usr/local/bin/kubelet'")
    assert "kubelet is not in its place" in guest.run(f"chroot {ROOT} {STEP} is-done", check=False).stderr
    guest.run(f"chroot {ROOT} {STEP} run")
    assert "exit 1" not in read(guest, "/usr/local/bin/kubelet")


def test_a_file_that_is_nowhere_what_the_lock_says_ends_the_step(guest: Machine, tmp_path: Path) -> None:
    guest.run(f"chroot {ROOT} sh -c 'echo other >>{tmp_path}/kubectl'")
    done = guest.run(f"chroot {ROOT} {STEP} run", check=False)
    assert done.returncode == 1
    assert "kubectl could not be had from any of" in done.stderr
    assert guest.run(f"chroot {ROOT} test -e /usr/local/bin/kubectl", check=False).returncode
