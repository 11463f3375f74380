"""The same face over ssh: quoting, input, errors, files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from envctl.node import NodeError, SshNode
from tests.unit.envctl_lab.sshd import serving

RELAY = """
import os, select, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as far:
    ends = {0: far.fileno(), far.fileno(): 1}
    while True:
        for end in select.select(list(ends), [], [])[0]:
            data = os.read(end, 65536)
            if not data:
                sys.exit()
            os.write(ends[end], data)
"""
"""What nc does."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SshNode]:
    with serving(tmp_path) as (port, identity):
        node = SshNode("vm", "172.16.91.10", host="127.0.0.1", port=port, identity=identity)
        yield node
        node.close()


@pytest.mark.parametrize("argument", ["plain", "two words", "it's", "$HOME", "a;b|c", "50%", ""])
def test_arguments_are_quoted(node: SshNode, argument: str) -> None:
    assert node.run("printf %%s %s", argument).stdout == argument


def test_input_and_variables_reach_the_command(node: SshNode) -> None:
    done = node.run("cat; echo $GIVEN", input="in\n", env={"GIVEN": "it's 'so'"})
    assert done.stdout == "in\nit's 'so'\n"


def test_a_failure_carries_exit_status_and_output(node: SshNode) -> None:
    with pytest.raises(NodeError) as caught:
        node.run("echo out; echo err >&2; exit %s", 3)
    assert caught.value.exit_status == 3
    assert caught.value.output == "out\nerr"
    assert caught.value.argv[:2] == ("ssh", "root@127.0.0.1")
    assert node.run("exit 3", check=False).exit_status == 3


def test_a_command_without_an_end_is_an_error(node: SshNode) -> None:
    with pytest.raises(NodeError, match=r"no end after 0\.2 s"):
        node.run("sleep 1", timeout=0.2)


def test_a_machine_that_does_not_answer_is_named() -> None:
    node = SshNode("vm", "172.16.91.10", host="127.0.0.1", port=1)
    with pytest.raises(NodeError, match="vm: true: NoValidConnectionsError"):
        node.run("true")


def test_a_machine_behind_a_command_is_reached_and_its_end_is_noticed(tmp_path: Path) -> None:
    """The command ends as it does when the machine loses its power: nobody waits, and no thread goes on reading."""
    with serving(tmp_path) as (port, identity):
        relay = f"{sys.executable} -c '{RELAY}' {port}"
        node = SshNode("vm", "192.0.2.1", identity=identity, proxy=relay)
        assert node.run("echo here").stdout == "here\n"
        process = node.connection.transport.sock.process
        transport = node.connection.transport
        process.kill()
        transport.join(5)
        assert not transport.is_alive()
        assert node.run("echo again").stdout == "again\n"
        node.close()


def test_a_connection_is_deaf_to_the_terminal_and_closed_also_when_its_command_is_gone(
    tmp_path: Path,
) -> None:
    """Ctrl-C is for envctl alone: its way back needs the connection."""
    with serving(tmp_path) as (port, identity):
        relay = f"{sys.executable} -c '{RELAY}' {port}"
        node = SshNode("vm", "192.0.2.1", identity=identity, proxy=relay)
        node.put(f"{tmp_path}/file", b"sent by sftp, whose channel is then open")
        process = node.connection.transport.sock.process
        assert os.getpgid(process.pid) != os.getpgrp()
        process.kill()
        node.close()
        assert node.run("echo again").stdout == "again\n"
        node.close()


def test_a_connection_that_never_came_about_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    node = SshNode("vm", "192.0.2.1", proxy="true")
    with pytest.raises(NodeError, match="vm: true: "):
        node.run("true")
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread.name


def test_files_are_written_whole_and_read_back(node: SshNode, tmp_path: Path) -> None:
    path = f"{tmp_path}/new folder/file"
    data = bytes(range(256)) * 1000
    node.put(path, data, 0o640)
    assert node.get(path) == data
    assert Path(path).stat().st_mode & 0o777 == 0o640
    assert node.names(f"{tmp_path}/new folder") == ["file"]
    node.remove(path)
    assert node.names(f"{tmp_path}/new folder") == []
    assert node.names(f"{tmp_path}/nowhere") == []
    with pytest.raises(FileNotFoundError):
        node.get(path)


def test_another_user_becomes_root_by_sudo() -> None:
    node = SshNode("vm", "172.16.91.10", user="vagrant", identity="/keys/id", port=2222)
    argv = node.argv("ip addr show %s", "eth 0")
    assert argv[:5] == ["ssh", "-p", "2222", "-i", "/keys/id"]
    assert argv[-2] == "vagrant@172.16.91.10"
    assert argv[-1].startswith("sudo -n env PATH=")


def test_a_machine_whose_address_others_had_before_is_known_by_a_file_of_its_own() -> None:
    words = SshNode("vm", "172.16.91.10", known_hosts="/state/known_hosts").ssh()
    assert words[words.index("StrictHostKeyChecking=accept-new") :][:3] == [
        "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=/state/known_hosts"
    ]  # fmt: skip
    assert "-o" not in SshNode("node", "192.0.2.1").ssh()


def test_the_lab_does_not_pay_for_fabric() -> None:
    code = "import sys, envctl.providers.lab; print([name for name in ('fabric', 'paramiko', 'cryptography') if name in sys.modules])"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
