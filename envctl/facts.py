"""What is true of an environment now, as data: discovered each time, never remembered.

Everything that ``status``, the summary of ``up`` and the acceptance suite show comes from here.
:func:`as_data` is the JSON of ``envctl status -o json``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PodFacts:
    """One pod. ``lease_left_s`` is None when no lease is known; ``mac`` and ``address`` are empty when it
    has none.
    """

    name: str
    node: str
    address: str = ""
    mac: str = ""
    state: str = ""
    lease_left_s: int | None = None
    lease_s: int | None = None
    server: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node. ``address_on`` is the interface that has the node's address now: the NIC, the bridge, or
    ``""``.
    """

    name: str
    address: str
    up: bool = True
    interface: str = "eth0"
    bridge: str = ""
    address_on: str = ""
    port: bool = False
    agent: str = ""
    """``running``, ``away`` or ``absent``"""
    migration: str = ""
    """``none``, ``open``, ``confirmed`` or what the node says"""
    pods: tuple[PodFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The DHCP server: what runs, where, and what it gives."""

    address: str
    software: str
    first: str
    last: str
    lease_s: int
    leases: int | None = None


@dataclass(frozen=True, slots=True)
class ApiserverFacts:
    """What answers at the apiserver's place. ``fingerprint`` is the certificate's SHA-256 in hex, empty
    without one.
    """

    name: str
    address: str
    port: int
    answers: bool = False
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """One environment."""

    name: str
    provider: str
    exists: bool
    cidr: str
    host: str
    gateway: str
    server: ServerFacts
    apiserver: ApiserverFacts | None = None
    nodes: tuple[NodeFacts, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def pods(self) -> tuple[PodFacts, ...]:
        return tuple(pod for node in self.nodes for pod in node.pods)


def as_data(facts: Facts) -> dict[str, Any]:
    """Plain data for JSON and YAML."""
    return dataclasses.asdict(facts)
