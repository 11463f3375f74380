"""The scripts of provision/steps: their frame, their templates, and downloads that are not trusted."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from envctl.config import Config
from envctl.node import ended
from envctl.providers import vagrant_settings
from envctl.provision import steps
from envctl.wait import until

PROVISION = steps.PROVISION
CLUSTER = {"K8S_CRI_SOCKET": "/run/containerd/containerd.sock", "K8S_VERSION": "v1.20.2", "K8S_ETCD_TAG": "3.4.23-0",
           "K8S_IMAGE_REPOSITORY": "k8s.gcr.io", "K8S_FEATURE_GATES": "PublicKeysECDSA: true"}  # fmt: skip


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script that begins as every step does."""
    text = f". {PROVISION}/steps/lib.sh\n{script}"
    words = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(["bash", "-c", text, "step"], capture_output=True, text=True, env=words)


def filled(template: Path, **environment: str) -> str:
    done = shell(f"fill {template}", **environment)
    assert not done.returncode, done.stderr
    return done.stdout


def test_every_guest_names_steps_that_exist() -> None:
    for guest, facts in steps.lock()["guests"].items():
        for name in facts["steps"]:
            script = PROVISION / f"steps/{name}.sh"
            assert script.stat().st_mode & 0o111, f"{guest}: {script} cannot be run"
        assert (PROVISION / guest / "guest.env").exists()


def test_a_step_that_is_done_is_left_alone() -> None:
    done = shell("is_done() { true; }; do_it() { echo did; }; main run")
    assert (done.returncode, done.stdout) == (0, "step: was done\n")


def test_a_step_is_asked_again_after_it_was_done() -> None:
    done = shell("is_done() { fail 'not yet'; }; do_it() { echo did; }; main run")
    assert done.returncode == 1
    assert done.stdout == "did\n"
    assert done.stderr.splitlines() == ["step: not yet", "step: was carried out, and yet it is not done"]


def test_a_step_that_two_ask_for_at_once_is_done_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script = f"""
    cd {tmp_path}
    is_done() {{ [[ -e done ]]; }}
    do_it() {{ echo did; read -r <go; touch done; }}
    main run"""
    lib = PROVISION / "steps/lib.sh"
    argv = ["bash", "-c", f". {lib}\n{script}", "step"]

    def has_opened(one: subprocess.Popen[bytes]) -> bool:
        return any(fd.resolve() == lib.resolve() for fd in Path(f"/proc/{one.pid}/fd").iterdir())

    first, second = (subprocess.Popen(argv, stdout=subprocess.PIPE, process_group=0) for _ in range(2))
    with ended(first), ended(second):
        for one in (first, second):
            until(partial(has_opened, one), within=20, otherwise=lambda: AssertionError("no lock"))
        (tmp_path / "go").write_text("on\n")
        said = sorted(one.communicate(timeout=20)[0] for one in (first, second))
    assert said == [b"did\n", b"step: was done\n"]


def test_is_done_answers_by_its_exit_status_and_changes_nothing() -> None:
    assert shell("is_done() { true; }; do_it() { echo did; }; main is-done").returncode == 0
    assert shell("is_done() { fail no; }; do_it() { echo did; }; main is-done").stdout == ""
    assert shell("is_done() { true; }; main nonsense").returncode == 2


def test_a_template_with_a_name_that_has_no_value_is_refused(tmp_path: Path) -> None:
    (tmp_path / "template").write_text("a @NODE_NAME@ b @NOT_SET@")
    done = shell(f"fill {tmp_path}/template")
    assert done.returncode == 1
    assert "wants NOT_SET" in done.stderr


def test_the_cluster_is_configured_as_the_note_has_it() -> None:
    text = filled(PROVISION / "kubernetes/kubeadm.yaml", **CLUSTER)
    documents = {document["kind"]: document for document in YAML(typ="safe").load_all(text)}
    init, cluster = documents["InitConfiguration"], documents["ClusterConfiguration"]
    assert init["localAPIEndpoint"] == {"advertiseAddress": "172.16.91.10", "bindPort": 8443}
    assert init["nodeRegistration"]["taints"] == []
    assert init["nodeRegistration"]["kubeletExtraArgs"]["node-ip"] == "172.16.91.10"
    assert cluster["kubernetesVersion"] == "v1.20.2"
    assert cluster["featureGates"] == {"PublicKeysECDSA": True}
    assert cluster["networking"]["serviceSubnet"] == "10.96.0.0/12"
    assert documents["KubeletConfiguration"]["cgroupDriver"] == "systemd"
    assert {document["apiVersion"] for document in (init, cluster)} == {"kubeadm.k8s.io/v1beta2"}


def test_the_dns_stand_in_is_behind_the_clusters_dns_address() -> None:
    text = filled(PROVISION / "kubernetes/dns-stand-in.yaml", KUBERNETES_SERVICE="10.96.0.1")
    service, deployment = YAML(typ="safe").load_all(text)
    assert service["spec"]["clusterIP"] == "10.96.0.10"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    record = "--host-record=kubernetes.default.svc.cluster.local,10.96.0.1"
    assert record in deployment["spec"]["template"]["spec"]["containers"][0]["args"]


def test_the_network_configuration_of_plain_vagrant_is_the_one_of_the_configuration() -> None:
    plain = json.loads(filled(PROVISION / "kubernetes/network.conf"))
    config = vagrant_settings.adapted(Config(provider="vagrant"))
    assert plain == config.netconf()


@pytest.mark.parametrize("packed", [False, True], ids=["as files", "as one file"])
def test_settings_survive_quotes_and_spaces(tmp_path: Path, packed: bool) -> None:
    home, uploaded = tmp_path / "home", tmp_path / "uploaded"
    (uploaded / "provision").mkdir(parents=True)
    (uploaded / "wheels").mkdir()
    for part in ("steps", "kubernetes", "debian12"):
        shutil.copytree(PROVISION / part, uploaded / "provision" / part)
    shutil.copy(PROVISION / "lock.json", uploaded / "provision/lock.json")
    script = (uploaded / "provision/steps/settle.sh").read_text()
    script = script.replace("/usr/local/lib/envctl", str(home)).replace("/etc/envctl", str(tmp_path / "etc"))
    if packed:
        with tarfile.open(f"{uploaded}.tar", "w") as tar:
            tar.add(uploaded, ".")
        shutil.rmtree(uploaded)
    conf = json.dumps({"name": 'it\'s a "net"', "type": "brdhcp"})
    subprocess.run(["bash", "-c", script, "settle", "debian12", str(uploaded)], check=True,
                   env={"PATH": "/usr/bin:/bin", "CNI_CONF": conf, "NODE_BRIDGE": "br1"})  # fmt: skip
    read = subprocess.run(["bash", "-c", f'. {tmp_path}/etc/node.env; printf %s "$CNI_CONF/$NODE_BRIDGE/$K8S_VERSION"'],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert read.stdout == f"{conf}/br1/v1.20.2"
    assert not uploaded.exists()
    assert (home / "steps/host.sh").exists()


def test_what_is_sent_to_a_guest_is_the_same_twice_and_has_no_root_file_system() -> None:
    one = steps.bundle("debian12")
    assert one == steps.bundle("debian12")
    with tarfile.open(fileobj=io.BytesIO(one)) as tar:
        names = tar.getnames()
    assert "provision/steps/kubeadm.sh" in names
    assert not [name for name in names if "/root/" in name]


def fetch(tmp_path: Path, sha: str, *urls: str, **environment: str) -> subprocess.CompletedProcess[str]:
    target = tmp_path / "target"
    script = f". {PROVISION}/steps/fetch.sh; fetch file {sha} {target} {' '.join(urls)}"
    return shell(script, ENVCTL_BUNDLE=str(tmp_path / "bundle"), **environment)


def test_a_download_is_taken_by_its_checksum_from_the_first_address_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    (tmp_path / "right").write_text("right")
    sha = hashlib.sha256(b"right").hexdigest()
    addresses = [f"file://{tmp_path}/{name}" for name in ("absent", "wrong", "right")]
    done = fetch(tmp_path, sha, *addresses)
    assert not done.returncode, done.stderr
    assert (tmp_path / "target").read_text() == "right"
    assert "is not what was asked for" in done.stderr
    assert not list(tmp_path.glob("target.*"))


def test_a_download_that_is_nowhere_right_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    done = fetch(tmp_path, hashlib.sha256(b"right").hexdigest(), f"file://{tmp_path}/wrong")
    assert done.returncode == 1
    assert not (tmp_path / "target").exists()


def test_a_download_without_a_checksum_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "some").write_text("some")
    address = f"file://{tmp_path}/some"
    refused = fetch(tmp_path, "-", address)
    assert refused.returncode == 1
    assert "has no checksum" in refused.stderr
    assert fetch(tmp_path, "-", address, ENVCTL_ALLOW_UNVERIFIED="1").returncode == 0


def test_the_bundle_comes_before_the_network(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/file").write_text("right")
    done = fetch(tmp_path, hashlib.sha256(b"right").hexdigest(), "http://192.0.2.1/never")
    assert (done.returncode, done.stderr) == (0, "")
