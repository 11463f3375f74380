"""testinfra over envctl's nodes: one backend for namespaces and ssh alike, since a Node is where commands
run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from envctl.node import Completed, Node
from envctl.providers.base import Pod, Provider

Run = Callable[[str], Completed]


@dataclass
class Result(CommandResult):  # type: ignore[misc]
    """A command's end, in words that fit into a message."""

    def __str__(self) -> str:
        said = (self.stderr or self.stdout).strip()
        return f"{self.command.decode()!r} on {self.backend.get_hostname()}: {said}"


class NodeBackend(BaseBackend):  # type: ignore[misc]
    """Runs testinfra's commands by ``run``, which takes a shell command and does not raise for its exit
    status.
    """

    NAME = "envctl"

    def __init__(self, name: str, run: Run) -> None:
        super().__init__(name)
        self._run = run
        self._encoding = "utf-8"

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        line = self.get_command(command, *args)
        done = self._run(line)
        return Result(self, done.exit_status, line.encode(), done.stdout, done.stderr)


def host_of(node: Node) -> Host:
    """A testinfra host for a node, or for the workstation."""
    return _host(NodeBackend(node.name, lambda line: node.run(line, check=False)))


def host_of_pod(provider: Provider, pod: Pod) -> Host:
    """A testinfra host whose commands run in the pod."""
    return _host(NodeBackend(pod.name, lambda line: provider.pod_exec(pod.name, line, check=False)))


def _host(backend: NodeBackend) -> Host:
    host = Host(backend)
    backend.set_host(host)
    return host
