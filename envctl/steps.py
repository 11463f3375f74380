"""The steps of ``envctl up``: each knows whether it is done, does it, and takes back what it did itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl import doctor, uplink
from envctl.environment import APISERVERS, SERVERS, agent_state, faulty_pods, side_by_side
from envctl.errors import VerificationError
from envctl.plan import Note, Plan, Step
from envctl.show.words import count, short

if TYPE_CHECKING:
    from envctl.node import Node
    from envctl.providers.base import Action, Pod, Provider
    from envctl.verify import Report


def up_plan(provider: Provider, verify: Callable[[Note], Report] | None) -> Plan:
    """Everything from a fresh machine to verified pods; without ``verify`` the last step is left out."""
    made = Part.all_of(provider) if provider.slow else [Environment(provider)]
    steps: list[Step] = [Doctor(provider), *made, Plugin(provider), Migrate(provider), Pods(provider)]
    if verify is not None:
        steps.append(Verify(verify))
    return steps


class Doctor(Step):
    """Look whether this machine has what is needed."""

    name = "doctor"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.title = "look whether this machine has what it takes"

    def is_done(self) -> str:
        return ""

    def run(self, note: Note) -> str:
        return doctor.require(self.provider.check())


class Environment(Step):
    """Make the machines and their LAN."""

    name = "lab"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.made = False
        config = provider.config
        nodes = count(len(config.node_addresses()), "node")
        self.title = f"make {config.provider} {config.name}: {nodes} on {config.network.cidr}"

    def is_done(self) -> str:
        return ""

    def run(self, note: Note) -> str:
        self.made = not self.provider.exists()
        wanted = set(self.provider.config.node_addresses())
        self.changed = not wanted <= {node.name for node in self.provider.nodes()}
        for action in self.provider.actions():
            note(action.title)
            action.run()
        config = self.provider.config
        server = f"{SERVERS[config.provider]} at {config.network.dhcp.server}"
        return f"{_names(self.provider.nodes())} on {config.network.cidr}; {server}; {self._apiserver()}"

    def _apiserver(self) -> str:
        there = self.provider.apiserver()
        return f"{APISERVERS[there.kind]} :{there.port}"

    def undo(self, note: Note) -> str:
        if not self.made:
            return ""
        self.provider.destroy()
        return "removed"


@dataclass
class Before:
    """What was there before the first part was made."""

    existed: bool = True
    complete: bool = True


class Part(Step):
    """Make one part of an environment that takes minutes; what the first one takes back is all of it."""

    def __init__(self, provider: Provider, action: Action, before: Before, *, first: bool) -> None:
        self.provider, self.action, self.before, self.first = provider, action, before, first
        self.name, self.title = action.name, action.title

    @classmethod
    def all_of(cls, provider: Provider) -> list[Part]:
        """Every action of the provider as a step."""
        before = Before()
        actions = provider.actions()
        return [cls(provider, action, before, first=action is actions[0]) for action in actions]

    def is_done(self) -> str:
        return ""

    def run(self, note: Note) -> str:
        if self.first:
            self.before.existed = self.provider.exists()
            self.before.complete = bool(self.provider.nodes())
        self.changed = not self.before.complete
        self.provider.tell = note
        return self.action.run()

    def undo(self, note: Note) -> str:
        if not self.first or self.before.existed:
            return ""
        self.before.existed = True
        self.provider.destroy()
        return "all of it removed"


class Plugin(Step):
    """Put the plugin on every node and start its agent."""

    name = "plugin"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.title = "install brdhcp on every node and start its agent"

    def is_done(self) -> str:
        return ""

    def run(self, note: Note) -> str:
        nodes = self.provider.nodes()
        self.changed = any(state != "running" for state in side_by_side(agent_state, nodes))

        def install(node: Node) -> None:
            for action in self.provider.plugin_actions(node):
                note(f"{node.name}: {action.title}")
                action.run()

        side_by_side(install, nodes)
        return f"brdhcp on {_names(nodes)}; the agent answers"


class Migrate(Step):
    """Move each node's address from its NIC to the bridge, and confirm from the LAN."""

    name = "migrate"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.config = provider.config
        self.todo: list[Node] = []
        self.migrated: list[Node] = []
        self.title = f"move the nodes' addresses from {self.config.uplink.interface} to {self.config.bridge}"

    def _open(self) -> list[Node]:
        """The nodes whose uplink is not migrated and confirmed; asks the kernel first, since that is quick."""

        def is_confirmed(node: Node) -> bool:
            return uplink.is_port(node, self.config) and uplink.status(node).get("state") == "confirmed"

        nodes = self.provider.nodes()
        confirmed = side_by_side(is_confirmed, nodes)
        return [node for node, done in zip(nodes, confirmed, strict=True) if not done]

    def is_done(self) -> str:
        nodes = self.provider.nodes()
        self.todo = self._open()
        return f"{self.config.bridge} has the uplink on {_names(nodes)}" if nodes and not self.todo else ""

    def run(self, note: Note) -> str:
        host = self.provider.host()

        def move(node: Node) -> None:
            note(f"{node.name}: {self.config.uplink.interface} becomes a port of {self.config.bridge}")
            self.migrated.append(node)
            uplink.migrate(node, host, self.config)

        side_by_side(move, self.todo)
        nic = self.config.uplink.interface
        return f"{nic} → {self.config.bridge} on {_names(self.todo)}; confirmed from the workstation"

    def undo(self, note: Note) -> str:
        moved, self.migrated = self.migrated, []
        for node in moved:
            uplink.rollback(node)
        return f"{self.config.uplink.interface} has the address again on {_names(moved)}" if moved else ""


class Pods(Step):
    """Give the environment the pods it should have."""

    name = "pods"

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.added: list[str] = []
        self.missing: list[str] = []
        self.faulty: dict[str, str] = {}
        self.wanted = [f"pod{number}" for number in range(1, provider.config.pods.count + 1)]
        self.title = f"{count(len(self.wanted), 'pod')} with addresses from the LAN's DHCP server"

    def is_done(self) -> str:
        self.faulty = faulty_pods(self.provider)
        there = {pod.name for pod in self.provider.pod_list()} - self.faulty.keys()
        self.missing = [name for name in self.wanted if name not in there]
        return f"{count(len(self.wanted), 'pod')} run" if not self.missing else ""

    def run(self, note: Note) -> str:
        nodes = self.provider.nodes()

        def add(name: str) -> Pod:
            if name in self.faulty:
                note(f"{name} is made anew: {self.faulty[name]}")
                self.provider.pod_rm(name)
            self.added.append(name)
            pod = self.provider.pod_add(nodes[self.wanted.index(name) % len(nodes)], name)
            note(f"{name} has {pod.address}")
            return pod

        pods = side_by_side(add, self.missing)
        like = str(self.provider.config.network.gateway)
        return ", ".join(f"{pod.name} {short(pod.address, like)}" for pod in pods)

    def undo(self, note: Note) -> str:
        added, self.added = self.added, []
        there = {pod.name for pod in self.provider.pod_list()}
        gone = [name for name in added if name in there]
        side_by_side(self.provider.pod_rm, gone)
        return f"{count(len(gone), 'pod')} removed" if gone else ""


class Verify(Step):
    """Run the acceptance suite."""

    name = "verify"

    def __init__(self, suite: Callable[[Note], Report]) -> None:
        self.suite = suite
        self.report: Report | None = None
        self.title = "run the acceptance suite"

    def is_done(self) -> str:
        return ""

    def run(self, note: Note) -> str:
        self.report = self.suite(note)
        if not self.report.passed:
            raise failed(self.report)
        return self.report.summary()


def failed(report: Report) -> VerificationError:
    """The error for a suite that found something."""
    return VerificationError(
        report.summary(),
        cause="\n".join(f"{check.title}: {check.message}" for check in report.checks if check.failed),
        hint="The environment is still there: envctl status, envctl logs, envctl exec NODE -- COMMAND.",
    )


def _names(nodes: list[Node] | tuple[Node, ...]) -> str:
    return ", ".join(node.name for node in nodes)
