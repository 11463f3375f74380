"""DHCP exchanges from a capture: the messages of one client and one transaction, in the order in which they came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from envctl.packets import Dhcp, dhcp
from envctl.pcapng import Frame


@dataclass(frozen=True, slots=True)
class Said:
    """One message. ``after_ms`` counts from the first of its exchange."""

    kind: str
    words: str
    from_server: bool
    after_ms: float


@dataclass(slots=True)
class Exchange:
    """What one client and a server said to each other under one transaction id."""

    client: str
    name: str
    xid: int
    start_ns: int
    server: str = ""
    address: str = ""
    messages: list[Said] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Who got what, or gave it back."""
        kinds = {message.kind for message in self.messages}
        who = self.name or self.client
        for kind, words in OUTCOMES:
            if kind in kinds:
                return words.format(who=who, address=self.address)
        return f"{who} asks"


OUTCOMES = (
    ("DHCPNAK", "{who} is refused"),
    ("DHCPDECLINE", "{who} finds {address} in use"),
    ("DHCPACK", "{who} gets {address}"),
    ("DHCPRELEASE", "{who} gives back {address}"),
    ("DHCPOFFER", "{who} is offered {address}"),
)


def exchanges(frames: Iterable[Frame], names: Mapping[str, str]) -> list[Exchange]:
    """Exchanges by their beginning. Each message counts once, however many places it came by; ``names`` are pods by
    MAC.
    """
    found: dict[tuple[str, int], Exchange] = {}
    once = {frame.data: frame.time_ns for frame in sorted(frames, key=lambda frame: -frame.time_ns)}
    told = [(at, said) for data, at in once.items() if (said := dhcp(data)) is not None]
    known = {said.client: said.name for _, said in told if said.name} | dict(names)
    for at, said in sorted(told, key=lambda one: one[0]):
        _add(found, said, at, known)
    return list(found.values())


def _add(found: dict[tuple[str, int], Exchange], said: Dhcp, at: int, names: Mapping[str, str]) -> None:
    key = (said.client, said.xid)
    exchange = found.setdefault(key, Exchange(said.client, names.get(said.client, ""), said.xid, at))
    exchange.server = said.server or exchange.server
    exchange.address = said.address or exchange.address
    words = said.words.replace(f"{said.client} ({exchange.name})", exchange.name)
    words = words.replace(said.client, exchange.name) if exchange.name else words
    exchange.messages.append(Said(said.kind, words, said.from_server, (at - exchange.start_ns) / 1e6))
