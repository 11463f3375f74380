"""Where a symptom of the note is played: a node as it was before brdhcp, the workstation, and the LAN between them.

A provider makes one with :meth:`envctl.providers.base.Provider.scene`; afterwards everything is as it was before.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envctl.cni import CONF_DIR

if TYPE_CHECKING:
    from envctl.config import Config
    from envctl.node import NamespaceNode, Node
    from envctl.providers.base import Pod, ServerLease


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what (seconds). ``daemon`` are options of the reference plugins' DHCP daemon."""

    ping_s: float
    """For the answer to a ping that will probably not come."""
    wait_s: float
    """For something that will probably come true at once."""
    daemon: str


class Scene(ABC):
    """The node is not migrated, and nothing of a play is on it. The workstation's NIC is its ``eth0``."""

    config: Config
    """The environment's own, but for what would get into the way of what is there already (the bridge's name)."""
    patience: Patience
    plugins: str
    """Where the reference plugins are on the node."""
    conf_dir = CONF_DIR
    """Where the network configuration lies that :meth:`pod_add` does."""

    @property
    @abstractmethod
    def node(self) -> Node:
        """The node by a way on which it can be reached just now; ask again after each change."""

    @property
    @abstractmethod
    def host(self) -> NamespaceNode:
        """The workstation: another machine of the LAN than the router."""

    @abstractmethod
    def install(self) -> None:
        """The reference plugins and brdhcp are on the node."""

    @abstractmethod
    def start_agent(self) -> None:
        """The agent runs and answers STATUS."""

    @abstractmethod
    def enslave(self) -> None:
        """What the note typed: a bridge, and the NIC into it, with the address left where it is.

        The node can be reached afterwards, and comes back by itself when nobody undoes it.
        """

    @abstractmethod
    def afresh(self) -> None:
        """The node as it started: nothing of what was done to it is there any more."""

    @abstractmethod
    def pod_add(self, name: str) -> Pod:
        """A pod by ``conf_dir``, as a container runtime would make it. Raises PluginError; leaves nothing then."""

    @abstractmethod
    def leases(self) -> tuple[ServerLease, ...]:
        """What the DHCP server itself has in its books now."""

    @abstractmethod
    def question(self) -> str:
        """A shell command of the workstation that asks the apiserver something, and says what is wrong."""
