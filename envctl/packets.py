"""What a packet means, in words: DHCP and ARP; everything else is left to Wireshark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from brdhcp.dhcp.codecs import Malformed
from brdhcp.dhcp.frame import Arp, ArpOperation, parse_arp, parse_frame
from brdhcp.dhcp.message import Message, MessageType
from brdhcp.dhcp.options import Option

from envctl.show.words import left

NOBODY = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Dhcp:
    """A DHCP message: ``kind`` is its name (DHCPACK), ``client`` the MAC that it is about, ``words`` what it says."""

    kind: str
    xid: int
    client: str
    address: str
    from_server: bool
    server: str
    words: str
    name: str = ""
    """The host name that the client sent along (option 12)."""


def dhcp(frame: bytes) -> Dhcp | None:
    """The DHCP message in a frame; None for any other frame, and for what is malformed."""
    datagram = parse_frame(frame, checksum_ready=False)
    if datagram is None:
        return None
    try:
        message = Message.decode(datagram.payload)
    except Malformed:
        return None
    kind = message.message_type
    if kind is None:
        return None
    client = message.chaddr.hex(":")
    server = str(message.option(Option.SERVER_ID) or "")
    asked = message.option(Option.REQUESTED_ADDRESS) or message.ciaddr
    address = message.yiaddr if message.yiaddr != NOBODY else asked
    words = WORDS[kind](message, client, server or str(datagram.source), str(address))
    name = str(message.option(Option.HOST_NAME) or "") if message.op == 1 else ""
    shown = "" if address == NOBODY else str(address)
    return Dhcp(kind.name, message.xid, client, shown, message.op == 2, server, words, name)


def words(frame: bytes) -> str:
    """One sentence; ``""`` for what is neither DHCP nor ARP."""
    told = dhcp(frame)
    if told is not None:
        return f"{told.kind}: {told.words}"
    arp = parse_arp(frame)
    return "" if arp is None else _arp(arp)


def _arp(arp: Arp) -> str:
    if arp.operation == ArpOperation.REPLY:
        return f"ARP: {arp.sender} is at {arp.sender_mac}"
    if arp.sender == NOBODY:
        return f"ARP: is anybody {arp.target}? asks {arp.sender_mac}, who would like to be"
    if arp.sender == arp.target:
        return f"ARP: {arp.sender} is at {arp.sender_mac} from now on"
    return f"ARP: who is {arp.target}? asks {arp.sender} ({arp.sender_mac})"


def _discover(message: Message, client: str, _server: str, address: str) -> str:
    name = message.option(Option.HOST_NAME)
    who = f"{client} ({name})" if name else client
    wish = f", {address} if possible" if address != str(NOBODY) else ""
    return f"{who} asks the LAN for an address{wish}"


def _request(message: Message, client: str, server: str, address: str) -> str:
    if message.option(Option.SERVER_ID):
        return f"{client} takes {address}, as {server} offered"
    if message.ciaddr != NOBODY:
        return f"{client} asks to keep {address}"
    return f"{client} asks whether {address} is still its own"


def _time(message: Message) -> str:
    seconds = message.option(Option.LEASE_TIME)
    return f" for {left(seconds)}" if isinstance(seconds, int) else ""


WORDS: dict[MessageType, Callable[[Message, str, str, str], str]] = {
    MessageType.DHCPDISCOVER: _discover,
    MessageType.DHCPOFFER: lambda m, client, server, address: (
        f"{server} offers {address} to {client}{_time(m)}"
    ),
    MessageType.DHCPREQUEST: _request,
    MessageType.DHCPDECLINE: lambda _m, client, _s, address: (
        f"{client} found {address} in use by somebody else"
    ),
    MessageType.DHCPACK: lambda m, client, server, address: f"{server} gives {address} to {client}{_time(m)}",
    MessageType.DHCPNAK: lambda _m, client, server, _a: f"{server} refuses {client}",
    MessageType.DHCPRELEASE: lambda _m, client, server, address: f"{client} gives {address} back to {server}",
    MessageType.DHCPINFORM: lambda _m, client, _s, _a: f"{client} has an address and asks for the rest",
}
