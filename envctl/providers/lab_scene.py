"""A symptom's scene in a lab of its own: made for it, and removed after it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from envctl.node import NamespaceNode
from envctl.providers import lab_plugin
from envctl.providers.base import Pod, ServerLease
from envctl.providers.scene import Patience, Scene

if TYPE_CHECKING:
    from envctl.providers.lab import Lab

CONNECT = 'import socket; socket.create_connection(("{address}", {port}), 10)'


class LabScene(Scene):
    """The master of a lab, which starts again in no time."""

    patience = Patience(ping_s=0.3, wait_s=10.0, daemon="-timeout 100ms -resendmax 1s")
    plugins = lab_plugin.BIN

    def __init__(self, lab: Lab) -> None:
        self._lab, self.config = lab, lab.config
        self._node, self._host = lab.machine("master"), lab.host()

    @property
    def node(self) -> NamespaceNode:
        return self._node

    @property
    def host(self) -> NamespaceNode:
        return self._host

    def install(self) -> None:
        lab_plugin.install_files(self._node)

    def start_agent(self) -> None:
        self._lab.start_agent(self._node)

    def enslave(self) -> None:
        bridge, nic = self.config.bridge, self.config.uplink.interface
        lines = f"link add {bridge} type bridge", f"link set {bridge} up", f"link set {nic} master {bridge}"
        self._node.run(" && ".join(f"ip {line}" for line in lines))

    def afresh(self) -> None:
        self._node.remove(lab_plugin.netconf_path(self.config))
        self._node = self._lab.reboot(self._node)

    def pod_add(self, name: str) -> Pod:
        return self._lab.pod_add(self._node, name)

    def leases(self) -> tuple[ServerLease, ...]:
        return self._lab.server_leases()

    def question(self) -> str:
        words = CONNECT.format(address=self._node.address, port=self.config.apiserver.port)
        return "python3 -c " + shlex.quote(words)


@contextlib.contextmanager
def lab_scene(lab: Lab) -> Iterator[Scene]:
    """The lab is there meanwhile; what an interrupted run left of it is removed first, all of it at the end."""
    lab.destroy()
    try:
        lab.create()
        yield LabScene(lab)
    finally:
        lab.destroy()
