"""What is shown of an environment, and what the pages say to type, on the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from envctl import uplink
from envctl.pcapng import read
from envctl.scenarios.table import SYMPTOMS, perform
from tests.docs.browser import Browser
from tests.docs.walk import Command, steps, walk
from tests.vm import until
from tests.vm.conftest import ROOT, Machine

ENVCTL = Path(sys.executable).with_name("envctl")
PAGE = ROOT / "docs/how-to/virtual-machine.md"
REMOVAL = "envctl down"


@pytest.fixture
def up(cluster: Machine) -> Machine:
    """The machine after `envctl up`: plugin, migration, pods."""
    vm = cluster
    if not uplink.is_port(vm.master, vm.provider.config):
        vm.provider.install_plugin(vm.master)
        uplink.migrate(vm.master, vm.provider.host(), vm.provider.config)
    until(vm.ready, within=420, what="the node being Ready")
    vm.pods()
    return vm


def envctl(vm: Machine, *words: str | Path, timeout: float = 300) -> str:
    environment = {**os.environ, "ENVCTL_NAME": vm.provider.config.name}
    done = subprocess.run(
        [ENVCTL, *words], capture_output=True, text=True, timeout=timeout, check=False, env=environment
    )
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_status_draws_the_machine_and_its_pods(up: Machine) -> None:
    drawing = envctl(up, "status")
    assert "172.16.91.10 on mybr0" in drawing
    assert "kube-apiserver :8443" in drawing
    for name in ("pod1", "pod2"):
        assert f"{name} {up.pod(name).address}" in drawing


def test_status_watch_says_what_changes(up: Machine) -> None:
    argv = [str(ENVCTL), "status", "--watch", "-o", "json", "-n", up.provider.config.name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        facts = json.loads(watching.stdout.readline())
        assert facts["nodes"][0]["address_on"] == "mybr0"
        up.run("systemctl stop brdhcpd")
        try:
            changed = json.loads(watching.stdout.readline())
        finally:
            up.run("systemctl start brdhcpd")
        assert changed["nodes"][0]["agent"] == "away"
        watching.terminate()


@pytest.mark.parametrize("place", ["host", "eth0", "mybr0", "pod", "pod1"])
def test_a_capture_anywhere_sees_a_renewal(up: Machine, place: str, tmp_path: Path) -> None:
    file = tmp_path / "renewal.pcapng"
    renewal = (ENVCTL, "exec", "master", "--", "brdhcpctl", "renew")
    envctl(
        up, "capture", "--where", place, "--filter", "udp port 67", "--write", file, "--", *map(str, renewal)
    )
    with file.open("rb") as pcapng:
        frames = list(read(pcapng))
    assert [frame for frame in frames if "asks to keep" in frame.comment], place
    assert [frame for frame in frames if "DHCPACK" in frame.comment], place
    assert not up.run("pgrep -x tcpdump", check=False).stdout, "nothing is left listening"


def test_the_report_of_the_machine_is_whole_and_a_browser_shows_it(up: Machine, tmp_path: Path) -> None:
    page, captured = tmp_path / "report.html", tmp_path / "renewal.pcapng"
    renewal = (str(ENVCTL), "exec", "master", "--", "brdhcpctl", "renew")
    envctl(up, "capture", "--where", "mybr0", "--filter", "udp port 67", "--write", captured, "--", *renewal)
    envctl(up, "report", "--no-verify", "--capture", captured, "--write", page)
    said = page.read_text()
    for pod in up.provider.pod_list():
        assert pod.address in said and pod.mac in said
    assert "DHCPREQUEST" in said and "DHCPACK" in said
    assert "kube-apiserver" in said and "agent.log" in said
    seen = Browser(tmp_path).open(page, width=1100, height=1600)
    assert seen.complaints == []
    assert seen.document.count("<svg") >= 4


def test_the_export_has_every_machine_and_every_log_and_no_key(up: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    envctl(up, "logs", "export", folder)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    wanted = {"status.json", "pods.json", "server-leases.json", "master/leases.json", "host/address.txt",
              "logs/agent.log", "logs/kubelet.log", "logs/pods.log"}  # fmt: skip
    assert wanted <= there
    assert "missing.txt" not in there
    assert not [name for name in there if "PRIVATE KEY" in (folder / name).read_text(errors="replace")]


def answers(vm: Machine, address: str) -> bool:
    """Whether the workstation is answered from there."""
    return vm.host("ping -n -c 1 -W 3 %s", address, check=False).exit_status == 0


@pytest.mark.parametrize("symptom", SYMPTOMS, ids=lambda symptom: symptom.id)
def test_a_symptom_happens_on_the_machine_and_leaves_it_as_it_was(up: Machine, symptom: Any) -> None:
    before, pods = up.network(), {pod.name: pod.address for pod in up.provider.pod_list()}
    outcome = perform(symptom, up.provider)
    assert [beat for beat in outcome.beats if beat.kind == "proof"]
    assert symptom.id == "fixed" or outcome.beats[-1].kind == "brdhcp"
    assert up.network() == before
    assert uplink.status(up.master)["state"] == "confirmed"
    for name in ("scene", "dhcp daemon"):
        assert not up.run("pgrep -f %s", f"[{name[0]}]{name[1:]}", check=False).stdout
    until(up.ready, within=420, what="the node being Ready")
    assert {pod.name: pod.address for pod in up.provider.pod_list()} == pods
    for address in pods.values():
        until(partial(answers, up, address), within=240, what=f"{address} answering again")


def test_an_interrupted_symptom_leaves_the_machine_as_it_was(up: Machine) -> None:
    """Ctrl-C in a terminal is for the command and for all that it has started."""
    before = up.network()
    # Also where these tests run in a shell's background, which ignores it.
    heard = ("env", "--default-signal=INT")
    words = [*heard, str(ENVCTL), "reproduce", "two-routes", "--name", up.provider.config.name]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as running:
        until(lambda: not answers(up, "172.16.91.10"), within=240, what="the address being off the LAN")
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=600)
    assert running.returncode == 130, said
    up.master.close()  # its connection is from before
    assert up.network() == before


def test_the_guest_undoes_a_symptom_that_nobody_takes_back(
    up: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workstation is gone from one moment to the next, with the node's address off the LAN."""
    from envctl.providers import vagrant_scene

    monkeypatch.setattr(vagrant_scene, "ALARM_S", 90)  # it takes a while to be let in again
    with up.provider.scene() as scene:
        scene.enslave()
        scene.node.run("ip -4 neigh flush all")  # whom it remembers it would answer a while longer
        assert not answers(up, "172.16.91.10")
        until(lambda: answers(up, "172.16.91.10"), within=240, what="the node answering by itself")
    assert uplink.status(up.master)["state"] == "confirmed"


def test_the_page_about_virtual_machines_does_what_it_says(up: Machine, tmp_path: Path) -> None:
    """Its last command removes the machine, and is left out when the machine is to be kept."""
    kept = os.environ.get("ENVCTL_KEEP") == "1"
    commands = [step for step in steps(PAGE.read_text()) if isinstance(step, Command) and not step.online]
    assert commands[-1].words == REMOVAL
    up.master.close()
    name = up.provider.config.name
    done = walk(PAGE, tmp_path, name, timeout_s=1500, without=(REMOVAL,) if kept else ())
    assert done == len(commands) - kept
