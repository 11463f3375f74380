"""The small CNI runtime, with executables that write down what they were asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from envctl import cni
from envctl.node import Completed, Node, quoted

PLUGIN = """#!/bin/sh
name=$(basename "$0")
conf=$(cat)
printf '%s %s %s %s\\n%s\\n' "$CNI_COMMAND" "$name" "$CNI_CONTAINERID" "$CNI_ARGS" "$conf" >> @LOG@
[ -e @FOLDER@/fail-$CNI_COMMAND-$name ] && cat @FOLDER@/fail-$CNI_COMMAND-$name && exit 1
case $CNI_COMMAND in
    ADD) printf '{"cniVersion": "1.0.0", "ips": [], "by": "%s"}' "$name" ;;
    VERSION) printf '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}' ;;
esac
"""


class Here(Node):
    """This machine as a node; files are where they say."""

    name = "here"
    address = ""

    def argv(self, command: str, *args: object) -> list[str]:
        return ["sh", "-c", quoted(command, args)]

    def run(self, command: str, *args: object, check: bool = True, input: str | bytes | None = None,
            timeout: float = 30, env: Mapping[str, str] | None = None) -> Completed:  # fmt: skip
        argv = self.argv(command, *args)
        text = input.decode() if isinstance(input, bytes) else input
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=timeout,
            env={**os.environ, **(env or {})}, check=False,
        )  # fmt: skip
        return Completed(self.name, command, tuple(argv), done.returncode, done.stdout, done.stderr)

    def spawn(self, command: str, *args: object, log: str, env: Mapping[str, str] | None = None) -> None:
        raise NotImplementedError

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(data)
        Path(path).chmod(mode)

    def get(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def names(self, directory: str) -> list[str]:
        folder = Path(directory)
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


class Bench:
    """A runtime, the plugins one, two and three, and what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        script = PLUGIN.replace("@LOG@", str(self.log)).replace("@FOLDER@", str(folder))
        self.node = Here()
        for name in ("one", "two", "three"):
            self.node.put(f"{folder}/bin/{name}", script.encode(), 0o755)
        self.runtime = cni.Runtime(self.node, path=[f"{folder}/bin"], cache=f"{folder}/cache")

    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """(verb and plugin, its configuration) of every call since the last look."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        heads = [" ".join(line.split()[:2]) for line in lines[::2]]
        return list(zip(heads, map(json.loads, lines[1::2]), strict=True))

    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.calls()]

    def fail(self, verb: str, plugin: str, answer: str) -> None:
        (self.folder / f"fail-{verb}-{plugin}").write_text(answer)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def network(version: str = "1.0.0", **extra: Any) -> cni.Network:
    plugins = [{"type": name, "own": name} for name in ("one", "two", "three")]
    return cni.Network.parse(json.dumps({"cniVersion": version, "name": "net", "plugins": plugins, **extra}))


SANDBOX = cni.Sandbox("c1", "/run/netns/c1", args={"K8S_POD_NAME": "web", "X": "1"})


def test_add_runs_in_order_and_hands_each_result_on(bench: Bench) -> None:
    result = bench.runtime.add(network(), SANDBOX)
    assert result["by"] == "three"
    calls = bench.calls()
    assert [verb for verb, _ in calls] == ["ADD one", "ADD two", "ADD three"]
    assert [conf.get("prevResult", {}).get("by") for _, conf in calls] == [None, "one", "two"]
    assert calls[1][1]["own"] == "two"
    assert {(conf["name"], conf["cniVersion"]) for _, conf in calls} == {("net", "1.0.0")}


def test_plugins_see_the_container_and_its_arguments(bench: Bench) -> None:
    bench.runtime.add(network(), SANDBOX)
    assert bench.log.read_text().splitlines()[0] == "ADD one c1 K8S_POD_NAME=web;X=1"


def test_delete_runs_backwards_with_the_final_result_and_forgets_it(bench: Bench) -> None:
    bench.runtime.add(network(), SANDBOX)
    assert bench.runtime.attachments("net") == (SANDBOX,)
    bench.calls()
    bench.runtime.delete(network(), SANDBOX)
    calls = bench.calls()
    assert [verb for verb, _ in calls] == ["DEL three", "DEL two", "DEL one"]
    assert [conf["prevResult"]["by"] for _, conf in calls] == ["three"] * 3
    assert bench.runtime.cached("net", SANDBOX) is None


def test_delete_without_a_remembered_result_still_runs(bench: Bench) -> None:
    bench.runtime.delete(network(), SANDBOX)
    assert all("prevResult" not in conf for _, conf in bench.calls())


def test_delete_uses_the_configuration_of_the_add(bench: Bench) -> None:
    bench.runtime.add(cni.Network.parse('{"cniVersion": "1.0.0", "name": "net", "type": "two"}'), SANDBOX)
    bench.calls()
    bench.runtime.delete(network(), SANDBOX)
    assert bench.verbs() == ["DEL two"]


def test_before_0_4_0_there_is_no_check_and_no_result_for_delete(bench: Bench) -> None:
    old = network("0.3.1")
    bench.runtime.add(old, SANDBOX)
    bench.calls()
    bench.runtime.check(old, SANDBOX)
    assert bench.verbs() == []
    bench.runtime.delete(old, SANDBOX)
    assert all("prevResult" not in conf for _, conf in bench.calls())


def test_a_failed_add_is_taken_back_and_its_error_comes_whole(bench: Bench) -> None:
    bench.fail("ADD", "two", '{"cniVersion": "1.0.0", "code": 11, "msg": "try again", "details": "no offer"}')
    bench.fail("DEL", "three", '{"code": 7, "msg": "not even this"}')
    with pytest.raises(cni.PluginError) as caught:
        bench.runtime.add(network(), SANDBOX)
    error = caught.value
    assert (error.verb, error.plugin, error.code, error.msg, error.details) == (
        "ADD",
        "two",
        11,
        "try again",
        "no offer",
    )
    assert bench.verbs() == ["ADD one", "ADD two", "DEL three", "DEL two", "DEL one"]
    assert bench.runtime.attachments("net") == ()


def test_a_failed_delete_is_remembered_for_another_try(bench: Bench) -> None:
    bench.runtime.add(network(), SANDBOX)
    bench.fail("DEL", "two", '{"code": 11, "msg": "agent away"}')
    with pytest.raises(cni.PluginError, match="two DEL: agent away"):
        bench.runtime.delete(network(), SANDBOX)
    assert bench.runtime.attachments("net") == (SANDBOX,)


@pytest.mark.parametrize("said", ["", "panic: oh no", '{"msg": "no code"}', "[1]"])
def test_an_error_that_is_not_cnis_is_999_with_what_was_said(bench: Bench, said: str) -> None:
    bench.fail("ADD", "one", said)
    with pytest.raises(cni.PluginError) as caught:
        bench.runtime.add(network(), SANDBOX)
    assert caught.value.code == 999
    assert said in caught.value.details


def test_a_plugin_that_is_not_there_is_named(bench: Bench) -> None:
    lone = cni.Network("net", "1.0.0", ({"type": "four"},))
    with pytest.raises(cni.PluginError, match="no plugin four in"):
        bench.runtime.add(lone, SANDBOX)
    with pytest.raises(cni.PluginError, match="no plugin"):
        bench.runtime.add(cni.Network("net", "1.0.0", ({"type": "../bin/one"},)), SANDBOX)


def test_capabilities_become_runtime_config_where_they_are_declared(bench: Bench) -> None:
    ports = [{"hostPort": 80}]
    plugins: list[cni.Json] = [
        {"type": "one"},
        {"type": "two", "capabilities": {"portMappings": True, "mac": False}},
        {"type": "three", "capabilities": {"bandwidth": True}},
    ]
    conf = cni.Network("net", "1.0.0", tuple(plugins))
    given = {"portMappings": ports, "mac": "02:00:00:00:00:01"}
    bench.runtime.add(conf, cni.Sandbox("c1", "/run/netns/c1", capabilities=given))
    calls = bench.calls()
    assert [conf.get("runtimeConfig") for _, conf in calls] == [None, {"portMappings": ports}, None]
    assert all("capabilities" not in conf for _, conf in calls)


def test_check_hands_over_the_final_result_to_all(bench: Bench) -> None:
    bench.runtime.add(network(), SANDBOX)
    bench.calls()
    bench.runtime.check(network(), SANDBOX)
    assert [(verb, conf["prevResult"]["by"]) for verb, conf in bench.calls()] == [
        ("CHECK one", "three"),
        ("CHECK two", "three"),
        ("CHECK three", "three"),
    ]
    bench.runtime.check(network(disableCheck=True), SANDBOX)
    assert bench.verbs() == []


def test_check_of_what_was_never_added_is_an_unknown_container(bench: Bench) -> None:
    with pytest.raises(cni.PluginError) as caught:
        bench.runtime.check(network(), SANDBOX)
    assert caught.value.code == 3


def test_gc_deletes_what_is_not_valid_and_tells_the_plugins_what_is(bench: Bench) -> None:
    other = cni.Sandbox("c2", "/run/netns/c2")
    for sandbox in (SANDBOX, other):
        bench.runtime.add(network("1.1.0"), sandbox)
    bench.calls()
    bench.runtime.gc(network("1.1.0"), [SANDBOX])
    calls = bench.calls()
    assert [verb for verb, _ in calls] == [
        "DEL three", "DEL two", "DEL one", "GC one", "GC two", "GC three",
    ]  # fmt: skip
    assert calls[-1][1]["cni.dev/valid-attachments"] == [{"containerID": "c1", "ifname": "eth0"}]
    bench.runtime.gc(network("1.1.0", disableGC=True), [])
    assert bench.verbs() == []


def test_status_is_asked_from_1_1_0_on(bench: Bench) -> None:
    bench.runtime.status(network("1.0.0"))
    assert bench.verbs() == []
    bench.fail("STATUS", "two", '{"code": 50, "msg": "no agent"}')
    with pytest.raises(cni.PluginError) as caught:
        bench.runtime.status(network("1.1.0"))
    assert (caught.value.plugin, caught.value.code) == ("two", 50)


def test_version_answers_what_a_plugin_speaks(bench: Bench) -> None:
    assert bench.runtime.version("one") == ("0.4.0", "1.0.0")


def test_a_single_plugins_configuration_is_a_list_of_one() -> None:
    one = cni.Network.parse('{"cniVersion": "0.3.1", "name": "net", "type": "one", "bridge": "b"}')
    assert (one.name, one.cni_version, [plugin["bridge"] for plugin in one.plugins]) == (
        "net",
        "0.3.1",
        ["b"],
    )


def test_the_newest_of_several_versions_is_spoken() -> None:
    assert network("0.4.0", cniVersions=["1.1.0", "1.0.0"]).cni_version == "1.1.0"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"name": "net"}', "names no plugin"),
        ('{"name": "net", "plugins": []}', "names no plugin"),
        ('{"name": "net", "plugins": [{"bridge": "x"}]}', "needs a type"),
        ('{"type": "one"}', "has no name"),
        ('{"type": "one", "name": "net", "cniVersion": "new"}', "is no version"),
    ],
)
def test_a_configuration_that_cannot_be_read_says_why(data: str, fault: str) -> None:
    with pytest.raises(cni.NetworkError, match=fault):
        cni.Network.parse(data)


def test_the_first_file_of_the_folder_is_the_network(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "net.d"
    with pytest.raises(cni.NetworkError, match="no network configuration"):
        cni.load(bench.node, str(folder))
    for name in ("20-b.conflist", "10-a.conf", "00-notes.txt"):
        bench.node.put(f"{folder}/{name}", json.dumps({"name": name, "type": "one"}).encode())
    assert cni.load(bench.node, str(folder)).name == "10-a.conf"
