"""The messages a client sends, field by field as RFC 2131 §4.4.1, table 5, wants them."""

from __future__ import annotations

from ipaddress import IPv4Address

from brdhcp.dhcp.identity import Identity, Policy
from brdhcp.dhcp.message import BROADCAST_FLAG, UNSPECIFIED, Message, MessageType
from brdhcp.dhcp.options import Option


def discover(
    identity: Identity, policy: Policy, xid: int, secs: float, wanted: IPv4Address | None
) -> Message:
    """DHCPDISCOVER; ``wanted`` is only a hint to the server."""
    head: dict[int, bytes] = {} if wanted is None else {Option.REQUESTED_ADDRESS: wanted.packed}
    return _asking(MessageType.DHCPDISCOVER, identity, policy, xid, secs, head)


def select(identity: Identity, policy: Policy, xid: int, secs: float, address: IPv4Address,
           server: IPv4Address) -> Message:  # fmt: skip
    """DHCPREQUEST in answer to an offer: requested address and server identifier, ciaddr zero."""
    head: dict[int, bytes] = {Option.REQUESTED_ADDRESS: address.packed, Option.SERVER_ID: server.packed}
    return _asking(MessageType.DHCPREQUEST, identity, policy, xid, secs, head)


def verify(identity: Identity, policy: Policy, xid: int, secs: float, address: IPv4Address) -> Message:
    """DHCPREQUEST of INIT-REBOOT: requested address, no server identifier, ciaddr zero."""
    return _asking(
        MessageType.DHCPREQUEST, identity, policy, xid, secs, {Option.REQUESTED_ADDRESS: address.packed}
    )


def extend(identity: Identity, policy: Policy, xid: int, secs: float, address: IPv4Address) -> Message:
    """DHCPREQUEST of RENEWING and REBINDING: ciaddr filled in, neither requested address nor server
    identifier.
    """
    return _asking(MessageType.DHCPREQUEST, identity, policy, xid, secs, {}, ciaddr=address)


def release(identity: Identity, xid: int, address: IPv4Address, server: IPv4Address) -> Message:
    """DHCPRELEASE: ciaddr and the client identifier must be those of the lease, or the server ignores it."""
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes((MessageType.DHCPRELEASE,)),
        Option.SERVER_ID: server.packed,
    }
    return _telling(identity, xid, options, address)


def decline(identity: Identity, xid: int, address: IPv4Address, server: IPv4Address) -> Message:
    """DHCPDECLINE: the address goes into option 50, ciaddr stays zero."""
    options: dict[int, bytes] = {
        Option.MESSAGE_TYPE: bytes((MessageType.DHCPDECLINE,)),
        Option.REQUESTED_ADDRESS: address.packed,
        Option.SERVER_ID: server.packed,
        Option.MESSAGE: b"the address answers ARP",
    }
    return _telling(identity, xid, options, UNSPECIFIED)


def _asking(
    kind: MessageType,
    identity: Identity,
    policy: Policy,
    xid: int,
    secs: float,
    head: dict[int, bytes],
    ciaddr: IPv4Address = UNSPECIFIED,
) -> Message:
    options: dict[int, bytes] = {Option.MESSAGE_TYPE: bytes((kind,)), **head}
    if identity.client_id is not None:
        options[Option.CLIENT_ID] = identity.client_id
    options[Option.MAX_MESSAGE_SIZE] = policy.max_message_size.to_bytes(2, "big")
    if identity.request:
        options[Option.PARAMETER_REQUEST_LIST] = bytes(identity.request)
    if identity.hostname:
        options[Option.HOST_NAME] = identity.hostname.encode()
    if identity.vendor_class:
        options[Option.VENDOR_CLASS] = identity.vendor_class
    options.update(identity.provide)
    flags = BROADCAST_FLAG if policy.broadcast and ciaddr == UNSPECIFIED else 0
    return Message(
        xid=xid,
        secs=min(int(secs), 0xFFFF),
        flags=flags,
        ciaddr=ciaddr,
        chaddr=identity.chaddr,
        options=options,
    )


def _telling(identity: Identity, xid: int, options: dict[int, bytes], ciaddr: IPv4Address) -> Message:
    told = dict(options)
    client_id = identity.effective_client_id
    if client_id is not None:
        told[Option.CLIENT_ID] = client_id
    return Message(xid=xid, ciaddr=ciaddr, chaddr=identity.chaddr, options=told)
