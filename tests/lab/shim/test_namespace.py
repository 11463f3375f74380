"""The shim hands over the very namespace that CNI_NETNS names, whatever that path means to the agent."""

from __future__ import annotations

import array
import os
import socket
import threading
from pathlib import Path

import pytest

from envctl.providers.lab_plugin import COMPILED_SHIM, SHIM
from tests.lab.lan import Machine


@pytest.mark.parametrize("shim", [SHIM, COMPILED_SHIM], ids=["python", "compiled"])
def test_the_descriptor_that_arrives_is_the_pods_namespace(tmp_path: Path, shim: Path) -> None:
    found: list[tuple[int, int]] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "agent.sock"))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            _, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
            (descriptor,) = array.array("i", ancillary[0][2])
            status = os.fstat(descriptor)
            found.append((status.st_dev, status.st_ino))
            os.close(descriptor)
            connection.sendall(b"0\n{}")

    server = threading.Thread(target=serve)
    server.start()
    with Machine("node") as node, listener:
        node.run("ip netns add pod")
        device, inode = node.run("stat -L -c '%d %i' /run/netns/pod").stdout.split()
        env = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "c1",
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": "/run/netns/pod",
            "BRDHCP_SOCKET": str(tmp_path / "agent.sock"),
        }
        assert node.run(str(shim), stdin="{}", env=env).stdout == "{}"
        server.join(10)
        assert found == [(int(device), int(inode))]
        own = Path("/proc/self/ns/net").stat()
        assert found != [(own.st_dev, own.st_ino)]
