"""A machine of the lab as a place where commands run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from envctl.node import NamespaceNode, NodeError
from envctl.providers import lab_machines
from envctl.providers.lab import Lab
from tests.lab.lan import until


@pytest.fixture
def node(lab: Lab) -> NamespaceNode:
    return lab.machine("worker1")


@pytest.mark.parametrize("argument", ["plain", "two words", "it's", "$HOME", "a;b|c", "50%", "", "\n", "ü"])
def test_arguments_are_quoted(node: NamespaceNode, argument: str) -> None:
    assert node.run("printf %%s %s", argument).stdout == argument


def test_a_command_without_arguments_goes_to_the_shell_as_it_is(node: NamespaceNode) -> None:
    assert node.run("printf '%s' a | tr a b").stdout == "b"


def test_input_and_variables_reach_the_command_and_the_callers_do_not(
    node: NamespaceNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLERS_SECRET", "x")
    done = node.run("cat; env", input="in\n", env={"CNI_COMMAND": "ADD"})
    assert done.stdout.startswith("in\n")
    assert "CNI_COMMAND=ADD" in done.stdout
    assert "CALLERS_SECRET" not in done.stdout


def test_a_failure_carries_argv_exit_status_and_output(node: NamespaceNode) -> None:
    with pytest.raises(NodeError) as caught:
        node.run("echo out; echo err >&2; exit %s", 3)
    error = caught.value
    assert error.exit_status == 3
    assert error.output == "out\nerr"
    assert error.argv[0] == "nsenter"
    assert str(error).splitlines()[0] == "worker1: echo out; echo err >&2; exit 3: exit status 3"
    assert node.run("exit 3", check=False).exit_status == 3


def test_a_command_without_an_end_is_killed_with_its_children(node: NamespaceNode) -> None:
    with pytest.raises(NodeError, match=r"no end after 0\.3 s") as caught:
        node.run("echo started; sleep 4711 & sleep 4711", timeout=0.3)
    assert caught.value.output == "started"
    until(lambda: "4711" not in str(lab_machines.inside(node.pid)), what="every process of the command gone")


def test_what_is_no_json_is_an_error_of_the_command(node: NamespaceNode) -> None:
    assert node.run("echo '{\"a\": 1}'").json() == {"a": 1}
    with pytest.raises(NodeError, match="printed no JSON"):
        node.run("echo no").json()


def test_files_are_written_whole_and_read_back(node: NamespaceNode) -> None:
    node.put("/run/new/folder/file", b"one", 0o600)
    node.put("/run/new/folder/file", b"two", 0o640)
    assert node.get("/run/new/folder/file") == b"two"
    assert node.run("stat -c %%a %s", "/run/new/folder/file").stdout == "640\n"
    assert node.names("/run/new/folder") == ["file"]
    node.remove("/run/new/folder/file")
    node.remove("/run/new/folder/file")
    assert node.names("/run/new/folder") == []
    assert node.names("/run/nowhere") == []
    with pytest.raises(FileNotFoundError):
        node.get("/run/nowhere")
    assert not Path("/run/new").exists()


def test_a_spawned_process_lives_on_and_writes_its_log(node: NamespaceNode) -> None:
    node.spawn("sh -c %s", "echo born; exec sleep 4712", log="/run/spawned/out.log")
    until(lambda: node.get("/run/spawned/out.log") == b"born\n", what="the log")
    pid = next(pid for pid, argv in lab_machines.inside(node.pid) if argv == ["sleep", "4712"])
    assert os.getsid(pid) != os.getsid(0)
    lab_machines.end([pid], signal.SIGTERM)


def test_an_interactive_command_line_runs_on_the_node(node: NamespaceNode) -> None:
    argv = node.argv("hostname %s", "-s")
    assert argv[0] == "nsenter"
    assert argv[-1] == "hostname -s"
