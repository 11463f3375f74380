"""The lock file: complete, and believed only by checksum."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from envctl.errors import EnvctlError
from envctl.provision.downloads import Download, bundle, downloads, findings
from envctl.provision.steps import PROVISION, lock

CENTOS = lock()["guests"]["centos7"]


def test_every_file_has_a_checksum_or_is_known_to_have_none() -> None:
    unknown = [download.name for download in downloads() if not download.sha256]
    assert unknown == ["CentOS-7-x86_64-Vagrant-2004_01.VMwareFusion.box"]
    for download in downloads():
        assert not download.sha256 or re.fullmatch(r"[0-9a-f]{64}", download.sha256), download.name
        assert download.urls, download.name
        assert all(url.startswith("https://") for url in download.urls), download.name


def test_every_file_of_the_guest_goes_somewhere() -> None:
    assert all(("to" in file) != ("unpack" in file) for file in CENTOS["files"])


def test_every_image_of_the_control_plane_has_its_digest() -> None:
    names = {name.partition(":")[0] for name in CENTOS["images"]["list"]}
    control = {
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "etcd",
        "coredns",
        "pause",
    }
    assert names == control
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in CENTOS["images"]["list"].values())


def test_the_guests_settings_and_the_lock_name_the_same_versions() -> None:
    env = dict(
        line.split("=", 1)
        for line in (PROVISION / "centos7/guest.env").read_text().splitlines()
        if line and line[0] != "#"
    )
    images = CENTOS["images"]["list"]
    assert f"kube-apiserver:{env['K8S_VERSION']}" in images
    assert f"etcd:{env['K8S_ETCD_TAG']}" in images
    assert f"pause:{env['K8S_PAUSE_TAG']}" in images
    assert env["K8S_IMAGE_REPOSITORY"] == CENTOS["images"]["repository"]
    kubeadm = next(file for file in CENTOS["files"] if file["name"] == "kubeadm")
    assert all(env["K8S_VERSION"] in url for url in kubeadm["urls"])


def test_the_shell_reads_the_lock_as_python_does() -> None:
    script = (
        f". {PROVISION}/steps/lib.sh; . {PROVISION}/steps/fetch.sh; locked files name sha256 to unpack urls"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "ENVCTL_LOCK": str(PROVISION / "lock.json")})  # fmt: skip
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    expected = [
        [file["name"], file["sha256"], file.get("to", "-"), file.get("unpack", "-"), " ".join(file["urls"])]
        for file in CENTOS["files"]
    ]
    assert rows == expected


def _file(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return (folder / name).as_uri()


def test_a_bundle_has_what_could_be_verified_and_names_the_rest(tmp_path: Path) -> None:
    right = hashlib.sha256(b"right").hexdigest()
    good = Download("good", right, (_file(tmp_path, "a", "wrong"), _file(tmp_path, "b", "right")))
    bad = Download("bad", right, ((tmp_path / "absent").as_uri(), _file(tmp_path, "c", "wrong")))
    with pytest.raises(EnvctlError, match="1 of 2 files") as caught:
        bundle(tmp_path / "out", wanted=[good, bad])
    assert "bad:" in caught.value.cause
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]
    (tmp_path / "b").unlink()
    assert bundle(tmp_path / "out", wanted=[good]) == [tmp_path / "out/good"]


def test_a_bundle_leaves_out_what_nobody_can_verify_unless_it_is_asked_for(tmp_path: Path) -> None:
    unknown = Download("unknown", "", (_file(tmp_path, "a", "text"),))
    assert bundle(tmp_path / "out", wanted=[unknown]) == []
    assert bundle(tmp_path / "out", wanted=[unknown], allow_unverified=True) == [tmp_path / "out/unknown"]


def test_an_address_that_is_dead_is_a_warning_as_long_as_another_has_the_file(tmp_path: Path) -> None:
    right = hashlib.sha256(b"right").hexdigest()
    dead = (tmp_path / "dead").as_uri()
    good = Download("good", right, (dead, _file(tmp_path, "a", "right")))
    bad = Download("bad", right, (dead,))
    found = findings(lambda _line: None, [good, bad])
    assert [(finding.id, finding.level) for finding in found] == [
        ("online-good", "warning"),
        ("online-good", "ok"),
        ("online-bad", "error"),
    ]
