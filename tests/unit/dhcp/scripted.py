"""The other side of the exchange: a server that reads and writes bytes by a script, and a LAN whose time is a
number.

Nothing here stands in for a part of brdhcp. The machine takes bytes and time; this hands it both, so that
weeks of renewals pass in milliseconds, and a server may be as strange as a test wants.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from brdhcp.dhcp import frame
from brdhcp.dhcp.machine import (
    Bound,
    Client,
    Effect,
    Event,
    Identity,
    Policy,
    ProbeKind,
    Received,
    Send,
    SetTimer,
    Start,
    State,
    TimerFired,
    client_id,
)
from brdhcp.dhcp.message import BOOTREPLY, Message, MessageType
from brdhcp.dhcp.options import Option, encode_option

E = TypeVar("E", bound=Effect)

MAC = "02:00:5e:00:00:31"
SERVER_MAC = "02:00:5e:00:02:54"
SERVER = IPv4Address("172.16.91.254")
GATEWAY = IPv4Address("172.16.91.2")
NETWORK = IPv4Network("172.16.91.0/24")
FIRST = IPv4Address("172.16.91.131")
IDENTITY = Identity(frame.mac_bytes(MAC), client_id("c0ffee", "mycninet", "eth0"), "pod-1")
PLAIN = Policy(probe=ProbeKind.NONE)


@dataclass
class ScriptedServer:
    """Answers as RFC 2131 §4.3 wants, as long as the script (its public fields) does not say otherwise."""

    lease_s: int = 3600
    address: IPv4Address = SERVER
    next_address: IPv4Address = FIRST
    options: dict[int, object] = field(
        default_factory=lambda: {
            Option.SUBNET_MASK: NETWORK.netmask,
            Option.ROUTERS: (GATEWAY,),
            Option.DNS: (GATEWAY,),
        }
    )
    up: bool = True
    refusing: bool = False
    edit: Callable[[Message], Message] = lambda reply: reply
    taken: dict[bytes, IPv4Address] = field(default_factory=dict)
    declined: set[IPv4Address] = field(default_factory=set)
    heard: list[Message] = field(default_factory=list)

    def answer(self, payload: bytes, to: IPv4Address) -> list[bytes]:
        """The payloads sent in answer to one payload that was sent to the address ``to``."""
        message = Message.decode(payload)
        if not self.up or to not in (self.address, frame.BROADCAST_ADDRESS):
            return []
        self.heard.append(message)
        who = message.options.get(Option.CLIENT_ID, message.chaddr)
        match message.message_type:
            case MessageType.DHCPDISCOVER:
                return [self.reply(MessageType.DHCPOFFER, message, self.choose(who))]
            case MessageType.DHCPREQUEST:
                return self.grant(message, who)
            case MessageType.DHCPRELEASE:
                if self.taken.get(who) == message.ciaddr and message.option(Option.SERVER_ID) == self.address:
                    del self.taken[who]
            case MessageType.DHCPDECLINE:
                self.declined.add(message.option(Option.REQUESTED_ADDRESS))
                self.taken.pop(who, None)
        return []

    def choose(self, who: bytes) -> IPv4Address:
        """The address this client has, or else the next one."""
        if who in self.taken:
            return self.taken[who]
        while self.next_address in self.declined or self.next_address in self.taken.values():
            self.next_address += 1
        return self.next_address

    def grant(self, message: Message, who: bytes) -> list[bytes]:
        chosen = message.option(Option.SERVER_ID)
        if chosen is not None and chosen != self.address:
            return []
        address = message.option(Option.REQUESTED_ADDRESS) or message.ciaddr
        if self.refusing or address not in NETWORK or self.taken.get(who, address) != address:
            return [self.reply(MessageType.DHCPNAK, message, IPv4Address(0))]
        self.taken[who] = address
        return [self.reply(MessageType.DHCPACK, message, address)]

    def reply(self, kind: MessageType, to: Message, address: IPv4Address) -> bytes:
        options: dict[int, bytes] = {
            Option.MESSAGE_TYPE: bytes((kind,)),
            Option.SERVER_ID: self.address.packed,
        }
        if kind is not MessageType.DHCPNAK:
            options[Option.LEASE_TIME] = self.lease_s.to_bytes(4, "big")
            options |= {code: encode_option(code, value) for code, value in self.options.items()}
        reply = Message(
            op=BOOTREPLY, xid=to.xid, flags=to.flags, ciaddr=to.ciaddr, yiaddr=address, chaddr=to.chaddr,
            options=options,
        )  # fmt: skip
        return self.edit(reply).encode()

    def kinds(self) -> list[str]:
        """What was heard, by message type."""
        return [kind.name for message in self.heard if (kind := message.message_type)]


@dataclass
class Wire:
    """One client, its servers, and a clock that only moves when ``run`` moves it."""

    client: Client
    servers: list[ScriptedServer] = field(default_factory=list)
    now: float = 0.0
    latency: float = 0.001
    serial_s: float = 0.0
    """A server works on one message at a time, for so long."""
    lost: Callable[[], bool] = lambda: False
    copies: int = 1
    effects: list[tuple[float, Effect]] = field(default_factory=list)
    sent: list[tuple[float, Send]] = field(default_factory=list)
    timer: float | None = None
    _coming: list[tuple[float, int, Event]] = field(default_factory=list)
    _number: int = 0
    _busy_until: float = 0.0

    def feed(self, event: Event) -> None:
        """Hand one event in and carry out its effects."""
        self.client, effects = self.client.step(event, self.now)
        for effect in effects:
            self.effects.append((self.now, effect))
            if isinstance(effect, SetTimer):
                self.timer = effect.at
            elif isinstance(effect, Send):
                self.sent.append((self.now, effect))
                self._carry(effect)

    def _carry(self, effect: Send) -> None:
        datagram = frame.parse_frame(effect.frame(MAC))
        assert datagram is not None
        if self.lost():
            return
        for server in self.servers:
            self._busy_until = max(self._busy_until, self.now) + self.serial_s
            for payload in server.answer(datagram.payload, datagram.destination) * self.copies:
                if not self.lost():
                    self.later(
                        self._busy_until - self.now + self.latency,
                        Received(Message.decode(payload), SERVER_MAC),
                    )

    def later(self, delay: float, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._coming, (self.now + delay, self._number, event))

    def run(self, until: float) -> None:
        """Let time pass: what comes and what is due, in order, up to ``until``."""
        for _ in range(1_000_000):
            due = min(
                self._coming[0][0] if self._coming else until + 1,
                self.timer if self.timer is not None else until + 1,
            )
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            if self._coming and self._coming[0][0] <= due:
                self.feed(heapq.heappop(self._coming)[2])
            else:
                self.timer = None
                self.feed(TimerFired())
        raise AssertionError("the client is spinning")

    @property
    def state(self) -> State:
        return self.client.state

    def seen(self, kind: type[E]) -> list[E]:
        """The effects of one kind so far."""
        return [effect for _, effect in self.effects if isinstance(effect, kind)]

    def story(self, *kinds: type[Effect]) -> list[type[Effect]]:
        """What happened of these kinds, in order."""
        return [type(effect) for _, effect in self.effects if isinstance(effect, kinds)]

    def when(self, kind: type[Effect]) -> float:
        """When an effect of this kind happened last."""
        return [at for at, effect in self.effects if isinstance(effect, kind)][-1]


def acquiring(
    server: ScriptedServer | None = None,
    policy: Policy = PLAIN,
    *,
    seed: int = 7,
    identity: Identity = IDENTITY,
) -> Wire:
    """A wire on which a fresh client has just started."""
    wire = Wire(Client.fresh(identity, seed, policy), [server] if server else [])
    wire.feed(Start())
    return wire


def bound(
    server: ScriptedServer, policy: Policy = PLAIN, *, seed: int = 7, identity: Identity = IDENTITY
) -> Wire:
    """A wire on which the client has just got its lease."""
    wire = acquiring(server, policy, seed=seed, identity=identity)
    wire.run(1.0)
    assert wire.seen(Bound), wire.effects
    return wire


def without(message: Message, *codes: int) -> Message:
    """The same message with options left out."""
    return replace(message, options={c: raw for c, raw in message.options.items() if c not in codes})


def having(message: Message, **options: object) -> Message:
    """The same message with options added, by their names in ``Option``; ``bytes`` go in as they are."""
    added: dict[int, bytes] = {
        Option[name]: value if isinstance(value, bytes) else encode_option(Option[name], value)
        for name, value in options.items()
    }
    return replace(message, options={**message.options, **added})
