"""What a provider of environments can do: few verbs, each with a contract, and no state but what it can
discover.

A provider is made from the configuration alone; making one touches nothing. Everything it answers (which
nodes there are, which pods, what answers as the apiserver) is looked up when it is asked, so that it is true
after a crash too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from envctl.config import Config
from envctl.errors import EnvctlError
from envctl.node import Completed, Node

if TYPE_CHECKING:
    from envctl.providers.scene import Scene


class ProviderError(EnvctlError):
    """The environment could not be made, found or removed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked on this machine. ``fix`` is a command that mends it, empty when there is
    none.
    """

    id: str
    level: Literal["ok", "warning", "error"]
    what: str
    hint: str = ""
    fix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """One visible thing that a provider does; doing it again is harmless. ``run`` answers what to show beside
    it. ``name`` is one word for it, where it is a step of its own.
    """

    title: str
    run: Callable[[], str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class ServerLease:
    """One lease as the DHCP server itself has it; ``expires`` is seconds since 1970, 0 for never."""

    mac: str
    address: str
    hostname: str
    client_id: str
    expires: int


@dataclass(frozen=True, slots=True)
class Apiserver:
    """What answers at the apiserver's address: ``kind`` says whether it is one, ``pem`` its certificate."""

    kind: Literal["stand-in", "real"]
    address: str
    port: int
    pem: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod and what the network gave it. ``result`` is the CNI result (JSON) of its ADD, ``{}`` when there
    is none.
    """

    name: str
    node: str
    container_id: str
    netns: str
    running: bool
    result: dict[str, Any]

    @property
    def address(self) -> str:
        """The first IPv4 address without its prefix length, or ``""``."""
        result = self.result
        found = [entry["address"] for entry in result.get("ips", ()) if ":" not in entry["address"]]
        if "ip4" in result:
            found.append(result["ip4"]["ip"])
        return str(found[0]).partition("/")[0] if found else ""

    @property
    def mac(self) -> str:
        """The MAC of the interface in the sandbox, or ``""`` (results before 0.3.0 do not say it)."""
        interfaces = self.result.get("interfaces", ())
        return next((str(entry.get("mac", "")) for entry in interfaces if entry.get("sandbox")), "")


class Provider(ABC):
    """An environment: machines on one LAN, some of them nodes that carry pods."""

    slow = False
    """Whether its actions take minutes: then each is shown as a step of its own."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.tell: Callable[[str], None] = lambda said: None
        """Told what an action is at, where it takes long."""

    @abstractmethod
    def check(self) -> list[Finding]:
        """What this machine needs for :meth:`create`: programs, privileges, kernel. Looks only, never
        changes.
        """

    @abstractmethod
    def actions(self) -> Sequence[Action]:
        """What :meth:`create` will do, in order. Pure: nothing is touched until an action is run."""

    def create(self) -> None:
        """Make the environment, or what is missing of it: afterwards it is as the configuration says.

        Twice is the same as once, also after a kill at any point. Raises ProviderError; what was made until
        then stays and is found by :meth:`destroy`.
        """
        for action in self.actions():
            action.run()

    @abstractmethod
    def destroy(self) -> None:
        """Remove everything of this environment and nothing else; succeeds when there is nothing.

        Needs only the environment's name: it works for one that was made with another configuration, or half
        made.
        """

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything of this environment is there, complete or not."""

    @abstractmethod
    def nodes(self) -> tuple[Node, ...]:
        """The cluster's nodes that are up now, master first."""

    def node(self, name: str) -> Node:
        """The node of that name; ProviderError naming those there are."""
        nodes = self.nodes()
        for node in nodes:
            if node.name == name:
                return node
        there = ", ".join(node.name for node in nodes) or "none"
        raise ProviderError(
            f"environment {self.config.name} has no node {name}", cause=f"nodes that are up: {there}"
        )

    @abstractmethod
    def host(self) -> Node:
        """The workstation on the LAN: where kubectl would run."""

    host_interface = "eth0"
    """The workstation's own interface on the LAN."""

    def internet(self) -> tuple[str, str] | None:
        """Address and name of what stands for the internet; None where nothing does."""
        return None

    @abstractmethod
    def apiserver(self) -> Apiserver:
        """What is expected to answer at the apiserver's address, and with which certificate."""

    @abstractmethod
    def server_leases(self) -> tuple[ServerLease, ...]:
        """What the DHCP server itself has in its books now."""

    @abstractmethod
    def plugin_actions(self, node: Node) -> Sequence[Action]:
        """What puts the plugin on a node: its files, the network configuration, the agent running and
        answering.
        """

    def install_plugin(self, node: Node) -> None:
        """Do all of :meth:`plugin_actions`."""
        for action in self.plugin_actions(node):
            action.run()

    @abstractmethod
    def start_agent(self, node: Node) -> None:
        """Start the agent unless it runs, and wait until it answers STATUS."""

    @abstractmethod
    def stop_agent(self, node: Node, signal: str = "TERM") -> None:
        """Stop the agent with that signal and wait until it is gone; succeeds when there is none."""

    @abstractmethod
    def reboot(self, node: Node) -> Node:
        """Crash the node and start it again with the disk it had; answers the node as it is now.

        Comes back with the agent running if the plugin was installed. Its pods are gone, as after any reboot.
        """

    @abstractmethod
    def pod_add(self, node: Node, name: str) -> Pod:
        """A pod with a process in it, on the network that the node's CNI configuration says."""

    @abstractmethod
    def pod_list(self) -> tuple[Pod, ...]:
        """Every pod of the environment."""

    @abstractmethod
    def pod_node(self, name: str) -> Node:
        """A pod's network as something to run commands in; ProviderError when there is none of that name."""

    def pod_exec(
        self, name: str, command: str, *args: object, check: bool = True, timeout: float = 30
    ) -> Completed:
        """Run a shell command in a pod; quoting and errors as in Node.run."""
        return self.pod_node(name).run(command, *args, check=check, timeout=timeout)

    @abstractmethod
    def pod_rm(self, name: str) -> None:
        """Take a pod off the network and remove it; ProviderError when there is no such pod."""

    @abstractmethod
    def logs(self, directory: Path) -> list[Path]:
        """Copy every log of the environment below ``directory`` and answer the files."""

    @abstractmethod
    def scene(self) -> AbstractContextManager[Scene]:
        """A place to play a symptom of the note in; afterwards the environment is as it was, or there is none
        if there was none.
        """
