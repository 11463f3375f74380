"""Packet sockets: how frames leave and arrive on an interface that may have no address yet (packet(7)).

The kernel's filter is attached before the socket is bound, so nothing but DHCP for this client (or ARP) ever reaches
Python, and closing happens in a worker thread, since the kernel waits for a grace period of some 10 ms there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from ipaddress import IPv4Address

from brdhcp.dhcp.frame import (
    ETH_P_ARP,
    ETH_P_IP,
    Datagram,
    Instruction,
    arp_filter,
    dhcp_filter,
    parse_arp,
    parse_frame,
)
from brdhcp.dhcp.frame import Arp as Arp
from brdhcp.errors import StoreFailure
from brdhcp.netlink import netns

SO_ATTACH_FILTER, SOL_PACKET, PACKET_AUXDATA = 26, 263, 8
PACKET_OUTGOING = 4
TP_STATUS_CSUMNOTREADY = 1 << 3
AUXDATA = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata of linux/if_packet.h; the status comes first."""
LARGEST_FRAME = 2048
NOBODY = IPv4Address("255.255.255.255")
"""No host has this address, so none speaks of it."""


def packet_socket(if_name: str, ethertype: int, program: Sequence[Instruction]) -> socket.socket:
    """A filtered, non-blocking packet socket on ``if_name`` of the namespace that the calling thread is in.

    Raises ``StoreFailure`` naming the interface.
    """
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    try:
        sock = socket.socket(socket.AF_PACKET, kind, 0)
    except OSError as error:
        raise StoreFailure(
            f"cannot open a packet socket: {error.strerror}", "brdhcpd needs CAP_NET_RAW"
        ) from error
    try:
        attach(sock, program)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((if_name, ethertype))
    except OSError as error:
        sock.close()
        raise StoreFailure(
            f"cannot send or receive frames on {if_name}: {error.strerror}", "is the interface there and up?"
        ) from error
    return sock


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """From now on the socket hears what ``program`` lets through, in the place of the one before."""
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(instructions)
    fprog = struct.pack("@HP", len(program), ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


def opened_in(netns_fd: int, if_name: str, ethertype: int, program: Sequence[Instruction]) -> socket.socket:
    """A packet socket in the namespace of ``netns_fd``; in our own when that is negative."""
    if netns_fd < 0:
        return packet_socket(if_name, ethertype, program)
    return netns.run_in(netns_fd, lambda: packet_socket(if_name, ethertype, program))


class Packets:
    """Frames of one kind on one interface, as they come, to ``receive``."""

    def __init__(self, sock: socket.socket, receive: Callable[[bytes, bool], None], closer: Executor) -> None:
        self._sock = sock
        self._receive = receive
        self._closer = closer
        asyncio.get_running_loop().add_reader(sock, self._drain)

    def send(self, frame: bytes) -> None:
        """Send one frame. What the network cannot take (the link is down, its MTU is too small, a filter refuses it)
        counts as lost on the way: the client asks again.
        """
        with contextlib.suppress(OSError):
            self._sock.send(frame)

    def narrow(self, program: Sequence[Instruction]) -> None:
        """Hear less: what ``program`` lets through."""
        attach(self._sock, program)

    def close(self) -> None:
        if self._sock.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._sock)
        # The descriptor goes to the worker by number: nothing here can use the socket again.
        self._closer.submit(os.close, self._sock.detach())

    def _drain(self) -> None:
        # Bounded, so that a flood cannot keep the loop from everybody else's packets.
        for _ in range(64):
            try:
                data, ancillary, _, source = self._sock.recvmsg(
                    LARGEST_FRAME, socket.CMSG_SPACE(AUXDATA.size)
                )
            except BlockingIOError:
                return
            except OSError:
                return  # the link went down or away: timers decide what follows
            if source[2] != PACKET_OUTGOING:
                self._receive(data, _checksum_ready(ancillary))
            if self._sock.fileno() < 0:
                return


class Outlet:
    """Frames out of the node's own interfaces, and none in: one socket for all of them, as long as the agent runs.

    To open and close a socket for a single frame, as for a DHCPRELEASE, would make the kernel wait for a grace period.
    """

    def __init__(self) -> None:
        self._sock: socket.socket | None = None

    def send(self, if_name: str, frame: bytes) -> None:
        """Raises ``StoreFailure`` when the interface is not there or not up."""
        try:
            if self._sock is None:
                kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
                self._sock = socket.socket(socket.AF_PACKET, kind, 0)
            self._sock.sendto(frame, (if_name, ETH_P_IP))
        except OSError as error:
            raise StoreFailure(
                f"cannot send frames on {if_name}: {error.strerror}", "is the interface there and up?"
            ) from error

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _checksum_ready(ancillary: list[tuple[int, int, bytes]]) -> bool:
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and len(data) >= 4:
            return not struct.unpack_from("=I", data)[0] & TP_STATUS_CSUMNOTREADY
    return True


def dhcp_socket(netns_fd: int, if_name: str, mac: str) -> socket.socket:
    """A socket that hears DHCP messages for the client with this ``mac`` (chaddr)."""
    return opened_in(netns_fd, if_name, ETH_P_IP, dhcp_filter(mac))


def arp_socket(netns_fd: int, if_name: str) -> socket.socket:
    """A socket for ARP that hears nothing until it is told, by ``Packets.narrow``, which address matters."""
    return opened_in(netns_fd, if_name, ETH_P_ARP, arp_filter(NOBODY))


def dhcp_packets(sock: socket.socket, receive: Callable[[Datagram], None], closer: Executor) -> Packets:
    """What a ``dhcp_socket`` hears, as datagrams."""

    def parsed(data: bytes, checksum_ready: bool) -> None:
        datagram = parse_frame(data, checksum_ready=checksum_ready)
        if datagram is not None:
            receive(datagram)

    return Packets(sock, parsed, closer)


def arp_packets(sock: socket.socket, receive: Callable[[Arp], None], closer: Executor) -> Packets:
    """What an ``arp_socket`` hears."""

    def parsed(data: bytes, _: bool) -> None:
        arp = parse_arp(data)
        if arp is not None:
            receive(arp)

    return Packets(sock, parsed, closer)
