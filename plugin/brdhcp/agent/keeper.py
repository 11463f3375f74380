"""Keeps one lease: feeds the sans-IO client with packets and timers, and carries out what it wants.

Everything a keeper does happens in the event loop, synchronously, so one event is done with before the next one is
looked at. A resting keeper costs a timer: its packet sockets are open only while an answer is expected, so that a
server that is away costs no descriptor per lease.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from brdhcp.agent.packets import Packets, arp_packets, arp_socket, dhcp_packets, dhcp_socket
from brdhcp.dhcp import events as dhcp
from brdhcp.dhcp.frame import Arp, Datagram, arp_announce, arp_filter, arp_probe, conflicting
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.machine import Client
from brdhcp.dhcp.message import Malformed, Message
from brdhcp.dhcp.states import State
from brdhcp.errors import AddressInUse, CniError, LeaseLost, Refused, TryAgainLater

AT_REST = (State.INIT, State.BOUND, State.RELEASED)
LISTEN_S = 10.0
"""How long an answer is listened for when nobody waits for it; the next one is asked for on new sockets."""
ANNOUNCE_INTERVAL_S = 2.0
"""RFC 5227 §1.1."""
LONGEST_WAIT_S = 30.0
"""A timer is looked at again after this: the loop's clock stands still while the machine sleeps, a lease's does not."""


def clock() -> float:
    """Seconds on the clock that leases run on: it goes on while the machine sleeps, and nobody can step it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Port(Protocol):
    """Where the frames of a lease leave and arrive."""

    mac: str

    @property
    def heard_as(self) -> str:
        """The MAC that answers to ARP must be for to get here."""

    def enter(self) -> tuple[int, str]:
        """A namespace descriptor (-1 for our own; the caller closes it) and the interface's name.

        Raises ``CniError`` when the place is gone.
        """


class Listener(Protocol):
    """Who is told what became of the lease. Called in the event loop; must not block."""

    def lease_event(self, effect: dhcp.Effect) -> None: ...


@dataclass(slots=True)
class _Waiter:
    future: asyncio.Future[Lease]
    refused: str = ""
    declined: str = ""


class Keeper:
    """One client, its timer and, while it talks, its sockets."""

    __slots__ = (
        "_again", "_arp", "_closer", "_deaf", "_dhcp", "_listener", "_loop", "_timer", "_waiter", "client", "port",
    )  # fmt: skip

    def __init__(self, client: Client, port: Port, listener: Listener, closer: Executor) -> None:
        self.client = client
        self.port = port
        self._listener = listener
        self._closer = closer
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._deaf: asyncio.TimerHandle | None = None
        self._dhcp: Packets | None = None
        self._arp: Packets | None = None
        self._waiter: _Waiter | None = None

    @property
    def lease(self) -> Lease | None:
        return self.client.lease

    @property
    def held(self) -> Lease | None:
        """The lease, or the one that the server may have granted already: what a release gives back."""
        return self.client.lease or self.client.offer

    def adopt(self, dhcp: socket.socket, arp: socket.socket) -> None:
        """Use these from now on, which were opened where there was time for it."""
        self._dhcp = dhcp_packets(dhcp, self._heard, self._closer)
        self._arp = arp_packets(arp, self._heard_arp, self._closer)

    async def acquire(self) -> Lease:
        """Get a lease, or say why there is none.

        Raises ``TryAgainLater`` (nobody offered one), ``Refused`` (DHCPNAK), ``AddressInUse`` (declined), and what the
        port raises.
        """
        self._waiter = _Waiter(self._loop.create_future())
        try:
            self._open()
            self.feed(dhcp.Start())
            return await self._waiter.future
        finally:
            self._waiter = None

    def resume(self) -> None:
        """Go on with a lease from disk: nothing is sent before it is due."""
        self.feed(dhcp.Start())

    def renew(self) -> None:
        """Ask for another lease period now."""
        self.feed(dhcp.Nudge())

    def release(self, copies: int = 1) -> None:
        """Give the lease back. Raises what the port raises when there is no way to the LAN any more.

        DHCPRELEASE is never answered: ``copies`` are for a LAN that may lose one.
        """
        self._open()
        packets = self._dhcp
        assert packets is not None

        def send(frame: bytes) -> None:
            for _ in range(copies):
                packets.send(frame)

        self.release_by(send)

    def release_by(self, send: Callable[[bytes], None]) -> list[bytes]:
        """Give the lease back with what ``send`` carries, without a socket; raises what that raises.

        The frames, which may be sent again.
        """
        self.client, effects = self.client.step(dhcp.Release(), clock())
        frames = [effect.frame(self.port.mac) for effect in effects if isinstance(effect, dhcp.Send)]
        for frame in frames:
            send(frame)
        self.close()
        return frames

    def announce(self, address: IPv4Address) -> None:
        """Tell the LAN who has ``address`` from now on, twice (RFC 5227 §2.3), and rest."""
        self._announce(address)
        if self._again is not None:
            self._again.cancel()
        self._again = self._loop.call_later(ANNOUNCE_INTERVAL_S, self._announce, address)

    def _announce(self, address: IPv4Address) -> None:
        if self.lease is not None and self.lease.address.ip == address:
            self._with_socket(lambda packets: packets.send(arp_announce(self.port.mac, address)))
        if self.client.state in AT_REST:
            self._close_sockets()

    def close(self) -> None:
        """Stop. The lease itself stays what it is."""
        for timer in (self._timer, self._again):
            if timer is not None:
                timer.cancel()
        self._timer = self._again = None
        self._close_sockets()

    def feed(self, event: dhcp.Event) -> None:
        """One event through the machine, and all its effects."""
        self.client, effects = self.client.step(event, clock())
        for effect in effects:
            self._carry_out(effect)
        if self.client.state in AT_REST and self._waiter is None:
            self._close_sockets()

    def _carry_out(self, effect: dhcp.Effect) -> None:
        match effect:
            case dhcp.Send():
                self._with_socket(lambda packets: packets.send(effect.frame(self.port.mac)))
            case dhcp.SetTimer(at=at):
                self._set_timer(at)
            case dhcp.Probe(address=address):
                if self._open_arp():
                    assert self._arp is not None
                    self._arp.narrow(arp_filter(address))
                    self._arp.send(arp_probe(self.port.heard_as, address))
            case _:
                self._listener.lease_event(effect)
                self._tell_waiter(effect)

    def _tell_waiter(self, effect: dhcp.Effect) -> None:
        waiter = self._waiter
        if waiter is None or waiter.future.done():
            return
        match effect:
            case dhcp.Bound(lease=lease):
                waiter.future.set_result(lease)
            case dhcp.Refused(reason=reason):
                waiter.refused = reason
            case dhcp.Declined(address=address, mac=mac):
                waiter.declined = f"{address} is in use by {mac}"
            case dhcp.Exhausted(tried=tried):
                waiter.future.set_exception(_exhausted(waiter, tried))

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None and at != float("inf"):
            self._timer = self._loop.call_later(min(max(at - clock(), 0.0), LONGEST_WAIT_S), self._fired)

    def _fired(self) -> None:
        self._timer = None
        self.feed(dhcp.TimerFired())

    def _with_socket(self, send: Callable[[Packets], None]) -> None:
        """Send, opening the socket first; a port that is gone is somebody else's to notice (the reconcile)."""
        try:
            self._open()
        except (CniError, OSError):
            return
        assert self._dhcp is not None
        send(self._dhcp)
        if self._waiter is None:
            self._listen(LISTEN_S)

    def _listen(self, seconds: float) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
        self._deaf = self._loop.call_later(seconds, self._close_sockets)

    def _open(self) -> None:
        if self._dhcp is None:
            with _Entered(self.port) as (netns, if_name):
                sock = dhcp_socket(netns, if_name, self.port.mac)
            self._dhcp = dhcp_packets(sock, self._heard, self._closer)

    def _open_arp(self) -> bool:
        if self._arp is None:
            try:
                with _Entered(self.port) as (netns, if_name):
                    sock = arp_socket(netns, if_name)
                self._arp = arp_packets(sock, self._heard_arp, self._closer)
            except (CniError, OSError):
                return False
        return True

    def _close_sockets(self) -> None:
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None
        for packets in (self._dhcp, self._arp):
            if packets is not None:
                packets.close()
        self._dhcp = self._arp = None

    def _heard(self, datagram: Datagram) -> None:
        try:
            message = Message.decode(datagram.payload)
        except Malformed:
            return  # the LAN may send anything; what is not a message is nobody's news
        self.feed(dhcp.Received(message, datagram.source_mac))

    def _heard_arp(self, arp: Arp) -> None:
        address = self.client.offer.address.ip if self.client.offer is not None else None
        if address is not None and conflicting(arp, address, self.port.mac):
            self.feed(dhcp.AddressConflict(arp.sender_mac))


class _Entered:
    """The port's namespace descriptor, closed again on the way out."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._fd = -1

    def __enter__(self) -> tuple[int, str]:
        self._fd, if_name = self._port.enter()
        return self._fd, if_name

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _exhausted(waiter: _Waiter, tried: dhcp.Tried) -> CniError:
    if waiter.declined:
        return AddressInUse(
            f"every address that the DHCP server offered is in use on the LAN: {waiter.declined}",
            f"{tried}; find the host with that MAC, or exclude its address from the server's range",
        )
    if waiter.refused:
        return Refused(f"the DHCP server refused the address: {waiter.refused}", str(tried))
    return TryAgainLater(f"no DHCP lease: {tried}")


def lost(lease: Lease, reason: str) -> LeaseLost:
    """What CHECK says of a lease that is gone."""
    return LeaseLost(
        f"the lease of {lease.address.ip} is lost: {reason}",
        "the pod has no address until the server grants it again; make the pod anew to get another one",
    )
