"""A network namespace of a node as something to run commands in: a pod that is somewhere else."""

from __future__ import annotations

from collections.abc import Mapping

from envctl.node import Completed, Node, quoted

ENTER = "exec nsenter --net=%s -- sh -c %s"


class NetnsNode(Node):
    """Runs commands in the namespace ``netns`` (a path on ``node``); files, processes and users are the node's."""

    def __init__(self, name: str, address: str, node: Node, netns: str) -> None:
        self.name, self.address, self.node, self.netns = name, address, node, netns
        self.lag_s = node.lag_s

    def argv(self, command: str, *args: object) -> list[str]:
        return self.node.argv(ENTER, self.netns, quoted(command, args))

    def run(self, command: str, *args: object, check: bool = True, input: str | bytes | None = None,
            timeout: float = 30, env: Mapping[str, str] | None = None) -> Completed:  # fmt: skip
        line = quoted(command, args)
        return self.node.run(ENTER, self.netns, line, check=check, input=input, timeout=timeout, env=env)

    def spawn(self, command: str, *args: object, log: str, env: Mapping[str, str] | None = None) -> None:
        self.node.spawn("nsenter --net=%s -- sh -c %s", self.netns, quoted(command, args), log=log, env=env)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.node.put(path, data, mode)

    def get(self, path: str) -> bytes:
        return self.node.get(path)

    def names(self, directory: str) -> list[str]:
        return self.node.names(directory)
