"""The centos7 guest as far as a machine without a network can show: its files, read by those who will read them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from envctl.provision.steps import PROVISION, lock

ROOT = Path(__file__).parents[2]
CENTOS = lock()["guests"]["centos7"]
SPEC = """Name: {name}
Version: {version}
Release: {release}
Epoch: {epoch}
Summary: stands for {name}
License: none
BuildArch: noarch
{requires}
%description
%files
"""


def rpm(folder: Path, wanted: str, requires: str = "") -> None:
    """An empty package with the name, epoch, version and release of ``name-epoch:version-release`` or ``name``."""
    name, epoch, version, release = wanted, "0", "1", "1.el7"
    if ":" in wanted:
        left, _, right = wanted.partition(":")
        name, _, epoch = left.rpartition("-")
        version, _, release = right.partition("-")
    elif wanted.rpartition("-")[2][:1].isdigit():
        left, _, release = wanted.rpartition("-")
        name, _, version = left.rpartition("-")
    spec = folder / f"{name}.spec"
    fields = {"name": name, "epoch": epoch, "version": version, "release": release}
    spec.write_text(SPEC.format(**fields, requires=f"Requires: {requires}" if requires else ""))
    argv = [
        "rpmbuild",
        "-bb",
        "--quiet",
        f"--define=_topdir {folder}/top",
        f"--define=_rpmdir {folder}",
        str(spec),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    spec.unlink()


def step(folder: Path, name: str, verb: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the guest with its folders below ``folder`` and the network's addresses as local ones."""
    home = folder / "home"
    if not home.exists():
        shutil.copytree(PROVISION / "steps", home / "steps")
        shutil.copytree(PROVISION / "centos7", home / "guest")
    lib = (home / "steps/lib.sh").read_text().replace("home=/usr/local/lib/envctl", f"home={home}")
    (home / "steps/lib.sh").write_text(lib.replace("/etc/envctl/node.env", str(home / "guest/guest.env")))
    words = {
        **os.environ,
        "YUM_DIRECTORY": str(folder / "repos"),
        "YUM_KEYS": str(folder / "keys"),
        **environment,
    }
    return subprocess.run([home / f"steps/{name}.sh", verb], capture_output=True, text=True, env=words)


@pytest.fixture
def mirror(tmp_path: Path) -> dict[str, str]:
    """A vault and a Docker repository on disk, with packages of the names and versions that are locked."""
    vault, docker = tmp_path / "vault", tmp_path / "docker"
    for part in ("os", "updates", "extras"):
        (vault / part / "x86_64").mkdir(parents=True)
    docker.mkdir()
    for wanted in CENTOS["packages"]["centos"]["install"]:
        rpm(vault / "extras/x86_64", wanted)
    for wanted in CENTOS["packages"]["docker"]["install"]:
        rpm(docker, wanted, requires="container-selinux >= 2:2.74" if "docker-ce-3" in wanted else "")
    for folder in (*vault.glob("*/x86_64"), docker):
        subprocess.run(["createrepo_c", "--quiet", folder], check=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home").rmdir()
    data = json.loads((PROVISION / "lock.json").read_text())
    data["guests"]["centos7"]["packages"]["docker"]["baseurl"] = docker.as_uri()
    data["guests"]["centos7"]["packages"]["centos"]["vault"] = [vault.as_uri()]
    key, fingerprint = gpg_key(tmp_path)
    data["guests"]["centos7"]["packages"]["docker"] |= {"gpgkey": key.as_uri(), "fingerprint": fingerprint}
    (tmp_path / "lock.json").write_text(json.dumps(data))
    return {"ENVCTL_LOCK": str(tmp_path / "lock.json")}


def gpg_key(folder: Path) -> tuple[Path, str]:
    """A key of the test's own, and its fingerprint."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    make = [*gpg, "--passphrase", "", "--quick-generate-key", "packages", "ed25519", "sign", "never"]
    subprocess.run(make, check=True, capture_output=True)
    listed = subprocess.run(
        [*gpg, "--with-colons", "--fingerprint"], check=True, capture_output=True, text=True
    ).stdout
    key = folder / "key.asc"
    key.write_bytes(subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
    return key, fingerprint


def dnf(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Debian's dnf over the guest's repository files, in a root file system of its own."""
    root = folder / "installroot"
    for needed in (root, folder / "log"):
        needed.mkdir(exist_ok=True)
    options = ["--installroot", str(root), f"--setopt=reposdir={folder}/repos", "--setopt=varsdir=/dev/null",
               f"--setopt=cachedir={folder}/cache", f"--setopt=logdir={folder}/log", "--releasever=7",
               "--forcearch=x86_64", "--quiet", "--assumeyes"]  # fmt: skip
    return subprocess.run(["dnf", *options, *words], capture_output=True, text=True)


def test_dnf_reads_the_repositories_and_finds_every_locked_version(
    tmp_path: Path, mirror: dict[str, str]
) -> None:
    done = step(tmp_path, "repositories", "run", RPM_ROOT=str(tmp_path / "installroot"), **mirror)
    assert not done.returncode, done.stderr
    assert step(tmp_path, "repositories", "is-done", **mirror).returncode == 0
    listed = dnf(tmp_path, "repolist")
    assert not listed.returncode, listed.stderr
    assert {line.split()[0] for line in listed.stdout.splitlines()[1:]} == {
        "base",
        "updates",
        "extras",
        "docker-ce-stable",
    }
    for part in ("centos", "docker"):
        for wanted in CENTOS["packages"][part]["install"]:
            found = dnf(tmp_path, "repoquery", wanted)
            assert found.stdout.strip(), f"{wanted} is not found: {found.stderr}"


def test_docker_pulls_container_selinux_and_a_package_without_a_signature_is_refused(
    tmp_path: Path, mirror: dict[str, str]
) -> None:
    assert not step(
        tmp_path, "repositories", "run", RPM_ROOT=str(tmp_path / "installroot"), **mirror
    ).returncode
    wanted = CENTOS["packages"]["docker"]["install"]
    needed = dnf(tmp_path, "repoquery", "--requires", "--resolve", wanted[0])
    assert "container-selinux-2:2.119.2" in needed.stdout
    refused = dnf(tmp_path, "install", *wanted)
    assert refused.returncode
    assert "not signed" in refused.stderr + refused.stdout or "GPG" in refused.stderr + refused.stdout


def test_a_key_with_another_fingerprint_is_refused(tmp_path: Path, mirror: dict[str, str]) -> None:
    data = json.loads(Path(mirror["ENVCTL_LOCK"]).read_text())
    data["guests"]["centos7"]["packages"]["docker"]["fingerprint"] = "0" * 40
    Path(mirror["ENVCTL_LOCK"]).write_text(json.dumps(data))
    done = step(tmp_path, "repositories", "run", **mirror)
    assert done.returncode
    assert "fingerprint" in done.stderr


def test_the_units_are_what_systemd_accepts(tmp_path: Path) -> None:
    units = [PROVISION / "centos7/kubelet.service", PROVISION / "centos7/brdhcp-forward.service"]
    for unit in units:
        text = unit.read_text().replace("/usr/local/bin/kubelet", "/bin/true").replace("docker.service", "")
        (tmp_path / unit.name).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", tmp_path / unit.name], capture_output=True, text=True
        )
        wrong = [line for line in done.stderr.splitlines() if unit.name in line]
        assert not wrong, "\n".join(wrong)


def test_the_docker_configuration_is_json_with_the_kubelets_cgroup_driver() -> None:
    daemon = json.loads((PROVISION / "centos7/daemon.json").read_text())
    assert daemon["exec-opts"] == ["native.cgroupdriver=systemd"]
    assert "cgroupDriver: systemd" in (PROVISION / "kubernetes/kubeadm.yaml").read_text()


def validated(provider: str, guest: str, tmp_path: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    words = {"ENVCTL_GUEST": guest, "VAGRANT_DEFAULT_PROVIDER": provider, "VAGRANT_CHECKPOINT_DISABLE": "1",
             "VAGRANT_DOTFILE_PATH": str(tmp_path / "vagrant")}  # fmt: skip
    environment = {
        **os.environ,
        **words,
        "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"],
    }
    return subprocess.run(["vagrant", "validate"], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("guest", ["centos7", "debian12"])
def test_vagrant_accepts_the_vagrantfile_for_libvirt(guest: str, tmp_path: Path) -> None:
    done = validated("libvirt", guest, tmp_path)
    assert not done.returncode, done.stdout + done.stderr


def test_vagrant_accepts_the_vagrantfile_for_virtualbox(tmp_path: Path) -> None:
    """Vagrant's own VirtualBox rules are applied; VirtualBox is a stand-in that says its version and nothing else."""
    program = tmp_path / "bin/VBoxManage"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 7.0.10r158379\n")
    program.chmod(0o755)
    done = validated("virtualbox", "centos7", tmp_path, str(program.parent))
    assert not done.returncode, done.stdout + done.stderr


EVALUATE = """
require "json"
require "vagrant"
# VMware's provider is in no package index: whatever its section says is kept.
settings = Class.new(Vagrant.plugin("2", :config)) do
  attr_accessor :base_mac, :base_address
  def vmx = (@vmx ||= {})
end
Class.new(Vagrant.plugin("2")) { name "vmware"; config(:vmware_desktop, :provider) { settings } }
name = ARGV[1].to_sym
config = Vagrant::Environment.new(cwd: ARGV[0]).vagrantfile.machine_config(:master, name, nil, nil, false)[:config]
provider = config.vm.get_provider_config(name)
files, scripts = config.vm.provisioners.partition { |one| one.type == :file }
puts JSON.generate(
  steps: scripts.map { |one| one.config.inline || one.config.path },
  files: files.map { |one| [one.config.source, one.config.destination] },
  box: [config.vm.box_url, config.vm.box_download_checksum],
  wheels: config.trigger.before_triggers.select { |one| one.info == "the plugin as wheels, the steps" }.map(&:command),
  settings: config.vm.provisioners.find { |one| one.name == :settings }.config.env,
  provider: provider.instance_variables.to_h { |name| [name.to_s.delete("@"), provider.instance_variable_get(name)] }
)
"""


def evaluated(provider: str, tmp_path: Path, root: Path = ROOT, **more: str) -> dict[str, Any]:
    """What Vagrant itself makes of the Vagrantfile in ``root`` for that provider, which need not be installed."""
    argv = ["ruby", "-e", EVALUATE, str(root), provider]
    words = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "vagrant"),
        **more,
    }
    done = subprocess.run(argv, capture_output=True, text=True, env=words)
    assert not done.returncode, done.stderr
    read = json.loads(done.stdout)
    assert isinstance(read, dict)
    return read


def test_the_plugin_is_packed_before_every_verb_that_provisions(tmp_path: Path) -> None:
    """The triggers of `vagrant provision` are not those of `vagrant up`, which provisions as well."""
    assert set(evaluated("libvirt", tmp_path)["wheels"]) >= {"up", "reload", "provision"}


def test_a_box_without_a_checksum_is_taken_only_when_that_is_asked_for(tmp_path: Path) -> None:
    (refused,), _ = evaluated("vmware_desktop", tmp_path)["box"]
    assert refused.startswith("file:///no-checksum")
    taken, checksum = evaluated("vmware_desktop", tmp_path, ENVCTL_ALLOW_UNVERIFIED="1")["box"]
    assert (taken, checksum) == (CENTOS["box"]["vmware_desktop"]["urls"], "")


def test_the_debian12_box_is_the_newest_that_was_made_here_and_never_looked_up_by_its_name(
    tmp_path: Path,
) -> None:
    asked = {"ENVCTL_GUEST": "debian12", "ENVCTL_CACHE": str(tmp_path / "cache")}
    (nothing,), _ = evaluated("libvirt", tmp_path, ROOT, **asked)["box"]
    assert "is-made-by-envctl-box-build" in nothing
    for age, key in enumerate(("new", "old")):
        made = tmp_path / "cache/box" / key / "debian12.json"
        made.parent.mkdir(parents=True)
        made.touch()
        os.utime(made, (1e9 - age, 1e9 - age))
    newest = tmp_path / "cache/box/new/debian12.json"
    assert evaluated("libvirt", tmp_path, ROOT, **asked)["box"][0] == [newest.as_uri()]


@pytest.mark.parametrize("provider", ["libvirt", "virtualbox", "vmware_desktop"])
def test_every_provider_is_provisioned_by_the_same_steps_after_the_settings(
    provider: str, tmp_path: Path
) -> None:
    scripts = [f"/usr/local/lib/envctl/steps/{name}.sh run" for name in CENTOS["steps"]]
    assert evaluated(provider, tmp_path)["steps"] == ["provision/steps/settle.sh", *scripts]


def test_the_lans_adapter_of_virtualbox_is_eth1_and_its_address_is_reserved(tmp_path: Path) -> None:
    """The adapter's MAC is the one of the reservation; VBoxManage is a stand-in that writes down what it is told."""
    read = evaluated("virtualbox", tmp_path)
    assert read["settings"] == {"NODE_ADDRESS": "172.16.91.10", "NODE_UPLINK": "eth1", "NODE_SSH_NIC": "eth0"}
    words = [word for _event, command in read["provider"]["customizations"] for word in command]
    given = dict(pairwise(words))
    assert (given["--nic2"], given["--nictype1"], given["--nictype2"]) == ("natnetwork", "virtio", "virtio")

    told = tmp_path / "told"
    program = tmp_path / "VBoxManage"
    program.write_text(f'#!/bin/sh\necho "$*" >>{told}\n')
    program.chmod(0o755)
    subprocess.run(
        [PROVISION / "virtualbox/natnetwork.sh", "ensure"],
        check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    line = next(line for line in told.read_text().splitlines() if "--fixed-address" in line)
    assert line.startswith("dhcpserver modify --network envctl-lan ")
    options = dict(pairwise(line.split()))
    assert options["--fixed-address"] == "172.16.91.10"
    assert options["--mac-address"].replace(":", "") == given["--macaddress2"]


def test_the_address_of_a_vmware_machine_is_reserved_by_a_mac_that_vmware_takes(tmp_path: Path) -> None:
    read = evaluated("vmware_desktop", tmp_path)
    assert read["provider"]["base_address"] == read["settings"]["NODE_ADDRESS"] == "172.16.91.10"
    assert re.fullmatch("00:50:56:[0-3][0-9A-F](:[0-9A-F]{2}){2}", read["provider"]["base_mac"])
    assert read["provider"]["vmx"]["ethernet0.connectionType"] == "nat"


def test_what_a_bundle_has_is_taken_from_it_by_vagrant_and_sent_to_the_guest(tmp_path: Path) -> None:
    libvirt = CENTOS["box"]["libvirt"]
    shutil.copy(ROOT / "Vagrantfile", tmp_path)
    shutil.copytree(PROVISION, tmp_path / "provision")
    without = evaluated("libvirt", tmp_path, tmp_path)
    assert without["box"] == [libvirt["urls"], libvirt["sha256"]]
    assert [place for _source, place in without["files"]] == ["/tmp/envctl.tar"]

    bundle = tmp_path / "build/bundle"
    bundle.mkdir()
    box = bundle / libvirt["url"].rpartition("/")[2]
    for path in (box, bundle / "kubectl", bundle / "stray"):
        path.touch()
    read = evaluated("libvirt", tmp_path, tmp_path)
    assert read["box"] == [[box.as_uri()], libvirt["sha256"]]
    assert [one for one in read["files"] if one not in without["files"]] == [
        [str(bundle / "kubectl"), "/tmp/envctl/bundle/kubectl"]
    ]
