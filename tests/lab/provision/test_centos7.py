"""Steps of the centos7 guest, run as they are in a root file system of their own, over files that are on disk."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envctl.node import NamespaceNode
from envctl.provision.downloads import send
from envctl.provision.steps import HOME, PROVISION
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
    """What was uploaded to a guest, in ``tmp_path``; the entries of its lock file, all of which are on disk.

    The first one is nowhere but in the bundle that was sent along.
    """
    uploaded = tmp_path / "uploaded"
    for part in ("steps", "kubernetes", "centos7"):
        shutil.copytree(PROVISION / part, uploaded / "provision" / part)
    (uploaded / "wheels").mkdir()
    lock = json.loads((PROVISION / "lock.json").read_text())
    entries: list[dict[str, Any]] = lock["guests"]["centos7"]["files"]
    for entry in entries:
        serve(entry, tmp_path)
    (uploaded / "bundle").mkdir()
    (tmp_path / entries[0]["name"]).rename(uploaded / "bundle" / entries[0]["name"])
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


def test_what_was_sent_along_in_a_bundle_needs_no_network(
    guest: Machine, files: list[dict[str, Any]]
) -> None:
    name = files[0]["name"]
    assert guest.run(f"chroot {ROOT} test -e {HOME}/bundle/{name}").returncode == 0
    said = guest.run(f"chroot {ROOT} {STEP} run").stderr
    assert name not in said
    assert read(guest, files[0]["to"]).endswith(f"echo {name}\n")


def test_a_bundle_is_sent_once_and_without_what_the_lock_does_not_say(tmp_path: Path) -> None:
    files: list[dict[str, Any]] = [{"name": name} for name in ("kubeadm", "kubelet", "absent")]
    for file in files:
        serve(file, tmp_path)
    (tmp_path / "kubelet").write_text("other")
    (tmp_path / "absent").unlink()
    with Machine("centos7") as machine:
        machine.run("mount -t tmpfs lib /usr/local/lib")
        node = NamespaceNode("centos7", "", machine.pid)
        assert send(node, files, tmp_path) == "1 files sent"
        assert node.names(f"{HOME}/bundle") == ["kubeadm"]
        assert send(node, files, tmp_path) == "0 files sent"


DOCKER = """\
#!/bin/sh
# Docker as a folder of the images that it has; the first registry is away
echo "$*" >>/told
case "$1 $2" in
"image inspect") exec test -e "/images/$(echo "$3" | tr / _)" ;;
"pull registry.k8s.io"*) exit 1 ;;
pull*) ;;
tag*) touch "/images/$(echo "$3" | tr / _)" ;;
*) exit 2 ;;
esac
"""


def test_images_come_by_digest_and_those_that_were_loaded_by_hand_are_left_alone(guest: Machine) -> None:
    for path, text in {"/usr/local/sbin/docker": DOCKER, "/images/registry.k8s.io_pause:3.1": ""}.items():
        script = f"mkdir -p {Path(path).parent}; cat >{path}; chmod 755 {path}"
        guest.run(f"chroot {ROOT} sh -c '{script}'", stdin=text)
    guest.run(f"chroot {ROOT} sh -c 'echo >{HOME}/bundle/etcd_3.3.15-0.tar'")
    step = STEP.replace("binaries", "images")
    assert "no image" in guest.run(f"chroot {ROOT} {step} is-done", check=False).stderr
    guest.run(f"chroot {ROOT} {step} run")
    wanted = json.loads((PROVISION / "lock.json").read_text())["guests"]["centos7"]["images"]
    told = [line for line in read(guest, "/told").splitlines() if not line.startswith("image inspect")]
    expected = []
    for name, digest in sorted(wanted["list"].items()):
        if name != "pause:3.1":
            first, mirror = (
                f"{place}/{name.partition(':')[0]}@{digest}"
                for place in ("registry.k8s.io", *wanted["mirrors"])
            )
            expected += [f"pull {first}", f"pull {mirror}", f"tag {mirror} registry.k8s.io/{name}"]
    assert told == expected
    assert guest.run(f"chroot {ROOT} {step} run").stdout == "images: was done\n"


SCRIPTS = "/etc/sysconfig/network-scripts"
BOX = 'DEVICE="eth0"\nBOOTPROTO="dhcp"\nONBOOT="yes"\nTYPE="Ethernet"\nPERSISTENT_DHCLIENT="yes"\n'
SYSTEMD = """\
#!/bin/sh
# systemd as a folder of what runs and what starts at boot; what it was told is in /told
case "$*" in
"is-active --quiet "*) exec test -e "/units/$3.active" ;;
"is-enabled --quiet "*) exec test -e "/units/$3.enabled" ;;
"enable "*) touch "/units/$2.enabled" ;;
"disable --now "*) rm "/units/$3.active" "/units/$3.enabled" ;;
"restart "*) ;;
*) exit 2 ;;
esac
echo "$*" >>/told
"""


@pytest.fixture
def managed(guest: Machine) -> Machine:
    """A guest as its box is: NetworkManager runs, and the first NIC has a file for network-scripts."""
    for path, text in {f"{SCRIPTS}/ifcfg-eth0": BOX, "/usr/local/sbin/systemctl": SYSTEMD}.items():
        guest.run(
            f"chroot {ROOT} sh -c 'mkdir -p {Path(path).parent}; cat >{path}; chmod 755 {path}'", stdin=text
        )
    guest.run(
        f"chroot {ROOT} sh -c 'mkdir /units; cd /units; touch NetworkManager.active NetworkManager.enabled'"
    )
    return guest


def network(guest: Machine, verb: str) -> subprocess.CompletedProcess[str]:
    return guest.run(f"chroot {ROOT} /usr/local/lib/envctl/steps/network.sh {verb}", check=False)


def ifcfg(guest: Machine, nic: str) -> dict[str, str]:
    """The NIC's file as network-scripts read it: by a shell."""
    names = "DEVICE BOOTPROTO ONBOOT NM_CONTROLLED DEFROUTE"
    script = f'. {SCRIPTS}/ifcfg-{nic}; for name in {names}; do echo "$name=${{!name}}"; done'
    said = guest.run(f"chroot {ROOT} bash -c {shlex.quote(script)}").stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def test_the_nic_is_taken_from_networkmanager_and_given_to_network_scripts(managed: Machine) -> None:
    assert "leaves eth0 to NetworkManager" in network(managed, "is-done").stderr
    done = network(managed, "run")
    assert not done.returncode, done.stderr
    told = ["disable --now NetworkManager", "enable network", "restart network"]
    assert read(managed, "/told").splitlines() == told
    said = ifcfg(managed, "eth0")
    assert (said["DEVICE"], said["BOOTPROTO"], said["NM_CONTROLLED"]) == ("eth0", "dhcp", "no")
    assert network(managed, "run").stdout == "network: was done\n"
    managed.run(f"chroot {ROOT} touch /units/NetworkManager.enabled")
    assert "starts at boot" in network(managed, "is-done").stderr


def test_a_nic_without_a_file_for_network_scripts_is_left_to_networkmanager(managed: Machine) -> None:
    managed.run(f"chroot {ROOT} rm {SCRIPTS}/ifcfg-eth0")
    done = network(managed, "run")
    assert done.returncode == 1
    assert f"there is no {SCRIPTS}/ifcfg-eth0" in done.stderr
    assert managed.run(f"chroot {ROOT} test -e /told", check=False).returncode


def test_on_virtualbox_the_second_nic_is_the_lans_and_the_way_out(managed: Machine) -> None:
    settings = "NODE_UPLINK=eth1\\nNODE_SSH_NIC=eth0\\n"
    managed.run(f"chroot {ROOT} sh -c 'printf \"{settings}\" >>/etc/envctl/node.env'")
    done = network(managed, "run")
    assert not done.returncode, done.stderr
    lan, ssh = ifcfg(managed, "eth1"), ifcfg(managed, "eth0")
    assert lan == {
        "DEVICE": "eth1",
        "BOOTPROTO": "dhcp",
        "ONBOOT": "yes",
        "NM_CONTROLLED": "no",
        "DEFROUTE": "",
    }
    assert (ssh["BOOTPROTO"], ssh["NM_CONTROLLED"], ssh["DEFROUTE"]) == ("dhcp", "no", "no")
    assert network(managed, "is-done").returncode == 0
