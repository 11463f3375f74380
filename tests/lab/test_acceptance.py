"""envctl as a user types it, against a lab of the test's own: up, verify, up again, break, mend, down to
nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.envctl_lab.labs import fresh_name, removed_at_the_end
from tests.lab.lan import until

ENVCTL = Path(sys.executable).with_name("envctl")
STEPS = ["doctor", "lab", "plugin", "migrate", "pods", "verify"]
VARIABLES = {key: value for key, value in os.environ.items() if not key.startswith("ENVCTL_")}


def envctl(*words: str, stdin: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command; the test fails with all it said when it ends otherwise."""
    done = subprocess.run(
        [ENVCTL, *words], input=stdin, capture_output=True, text=True, check=False, timeout=120, env=VARIABLES
    )
    said = f"envctl {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert done.returncode == status, said
    return done


def answer(*words: str, status: int = 0) -> Any:
    return json.loads(envctl(*words, "-o", "json", status=status).stdout)


def traces(name: str) -> list[str]:
    """Everything of an environment that can be seen from outside: processes, mounts, namespaces, files."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                argv = (entry / "cmdline").read_bytes()
                if argv.startswith(b"envctl-") and f" {name}/".encode() in argv:
                    found.append(f"process {entry.name} {argv!r}")
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"mount {line}" for line in mounts if f"/envctl/{name}/" in line or f"/netns/{name}-" in line]
    found += [str(path) for path in Path("/run/netns").glob(f"{name}-*")]
    return found + [str(path) for path in [Path("/run/envctl") / name] if path.exists()]


@contextlib.contextmanager
def environment(suffix: str) -> Iterator[str]:
    """A name of the test's own; whatever is left of it at the end is removed, also when this process is killed."""
    name = f"{fresh_name()}-{suffix}"
    with removed_at_the_end(name):
        try:
            yield name
        finally:
            envctl("down", "-n", name)


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[str, dict[str, Any]]]:
    """One environment for the tests that look at it, and what ``up`` said when it was made."""
    with environment("acc") as name:
        yield name, answer("up", "-n", name)


def pod_addresses(facts: dict[str, Any]) -> dict[str, str]:
    return {pod["name"]: pod["address"] for node in facts["nodes"] for pod in node["pods"]}


def test_up_ends_with_pods_on_the_lan_and_everything_verified(made: tuple[str, dict[str, Any]]) -> None:
    _name, said = made
    assert [(step["step"], step["outcome"]) for step in said["steps"]] == [(step, "done") for step in STEPS]
    assert said["verification"]["passed"] is True
    assert {check["outcome"] for check in said["verification"]["checks"]} == {"passed"}
    addresses = pod_addresses(said["environment"])
    assert list(addresses) and all(address.startswith("172.16.91.") for address in addresses.values())
    assert len(set(addresses.values())) == 3


def test_up_again_changes_nothing(made: tuple[str, dict[str, Any]]) -> None:
    name, said = made
    again = answer("up", "-n", name)
    outcomes = {step["step"]: step["outcome"] for step in again["steps"]}
    assert {outcomes[step] for step in ("lab", "plugin", "migrate", "pods")} == {"already"}
    assert pod_addresses(again["environment"]) == pod_addresses(said["environment"])


def test_verify_lists_every_check_by_its_title(made: tuple[str, dict[str, Any]]) -> None:
    name, said = made
    table = envctl("verify", "-n", name, "-k", "route").stdout
    assert "Each node has exactly one default route, through the bridge" in table
    assert "checks passed" in table
    assert len(said["verification"]["checks"]) >= 20


def test_status_shows_what_up_showed(made: tuple[str, dict[str, Any]]) -> None:
    name, said = made
    facts = answer("status", "-n", name)
    assert pod_addresses(facts) == pod_addresses(said["environment"])
    assert facts["apiserver"]["name"] == "apiserver-standin"
    assert facts["apiserver"]["fingerprint"] == said["environment"]["apiserver"]["fingerprint"]
    assert {node["agent"] for node in facts["nodes"]} == {"running"}
    drawing = envctl("status", "-n", name).stdout
    for address in pod_addresses(facts).values():
        assert address in drawing


def test_a_pod_comes_and_goes(made: tuple[str, dict[str, Any]]) -> None:
    name, _said = made
    pod = answer("pod", "add", "web", "--node", "worker1", "-n", name)
    listed = {pod["name"]: pod for pod in answer("pod", "list", "-n", name)}
    assert listed["web"]["address"] and listed["web"]["node"] == pod["node"] == "worker1"
    seen = envctl("pod", "exec", "web", "-n", name, "--", "ip", "-4", "addr", "show", "eth0").stdout
    assert listed["web"]["address"] in seen
    envctl("pod", "exec", "web", "-n", name, "--", "sh", "-c", "exit 7", status=7)
    envctl("exec", "host", "-n", name, "--", "ping", "-n", "-c", "1", "-w", "3", listed["web"]["address"])
    envctl("pod", "rm", "web", "-n", name)
    assert "web" not in {pod["name"] for pod in answer("pod", "list", "-n", name)}


def test_what_is_broken_is_found_named_and_exit_code_3(made: tuple[str, dict[str, Any]]) -> None:
    name, _said = made
    envctl("pod", "exec", "pod1", "-n", name, "--", "ip", "link", "set", "eth0", "down")
    report = answer("verify", "-n", name, "-k", "router", status=3)
    (failed,) = [
        check for check in report["checks"] if check["outcome"] == "failed" and "router" in check["title"]
    ]
    assert "pod1" in failed["message"]
    route = ("ip", "route", "replace", "default", "via", "172.16.91.2")
    envctl("pod", "exec", "pod1", "-n", name, "--", "ip", "link", "set", "eth0", "up")
    envctl("pod", "exec", "pod1", "-n", name, "--", *route)
    assert answer("verify", "-n", name, "-k", "router")["passed"] is True


def test_the_uplink_goes_back_and_forth_and_the_apiserver_answers_throughout(
    made: tuple[str, dict[str, Any]],
) -> None:
    name, _said = made
    before = answer("status", "-n", name)
    envctl("rollback", "--yes", "-n", name)
    back = answer("status", "-n", name)
    assert {node["address_on"] for node in back["nodes"]} == {"eth0"}
    assert back["apiserver"]["answers"] is True
    envctl("migrate", "-n", name)
    again = answer("status", "-n", name)
    assert {node["address_on"] for node in again["nodes"]} == {"mybr0"}
    assert again["apiserver"] == back["apiserver"] == before["apiserver"]
    assert answer("up", "-n", name)["verification"]["passed"] is True


def test_logs_are_copied_and_their_place_is_printed(made: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    name, _said = made
    place = Path(envctl("logs", "export", str(tmp_path / "logs"), "-n", name).stdout.strip())
    assert list(place.rglob("*.log"))


REFUSED = "version: 1\nnodes: {workers: 0}\nplugin: {extra: {isGateway: true}}\n"


@pytest.mark.timeout(120)
def test_an_up_that_fails_leaves_nothing_and_with_keep_leaves_the_wreck() -> None:
    with environment("fail") as name:
        said = envctl("up", "-n", name, "-f", "-", stdin=REFUSED, status=1)
        assert "pods failed" in said.stderr and "isGateway" in said.stderr and "taken back" in said.stderr
        assert said.stdout == ""
        assert not traces(name)
        envctl("up", "--keep", "-n", name, "-f", "-", stdin=REFUSED, status=1)
        assert traces(name)


@pytest.mark.timeout(120)
def test_down_leaves_nothing_also_when_up_was_killed_half_way() -> None:
    with environment("kill") as name:
        for step in ("lab", "migrate"):
            up = subprocess.Popen(
                [ENVCTL, "up", "-n", name], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )  # fmt: skip
            assert up.stderr is not None
            for line in up.stderr:
                if f"] {step}:" in line:
                    break
            up.send_signal(signal.SIGKILL)
            up.stderr.close()
            up.wait()
            assert traces(name), f"killed after {step}"
            if step == "lab":
                assert answer("up", "-n", name)["verification"]["passed"] is True
            envctl("down", "-n", name)
            until(lambda: not traces(name), what=f"nothing of {name} is left")


def test_without_an_environment_every_verb_says_how_to_make_one() -> None:
    for words in (["verify"], ["migrate"], ["pod", "list"], ["logs"], ["exec", "master", "true"]):
        said = envctl(words[0], *words[1:2], "-n", "nowhere", *words[2:], status=2).stderr
        assert "envctl up makes it" in said
    assert "envctl up" in envctl("status", "-n", "nowhere").stdout
    assert "there was nothing" in envctl("down", "-n", "nowhere").stderr
