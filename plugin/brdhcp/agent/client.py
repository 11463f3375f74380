"""From a network configuration to a DHCP client: who it says it is, and how patient it is."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from brdhcp.bridge import naming
from brdhcp.dhcp.frame import mac_bytes
from brdhcp.dhcp.identity import Identity, Policy, ProbeKind, host_name
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.machine import Client
from brdhcp.dhcp.options import Option, provide_option, request_list
from brdhcp.spec.environment import Request
from brdhcp.spec.ipam import Dhcp
from brdhcp.spec.netconf import NetConf
from brdhcp.store.leases import Attachment


def identity(netconf: NetConf, request: Request, mac: str) -> Identity:
    """Who asks: ``mac`` is the pod's, the client identifier is what ``clientId`` says."""
    dhcp = netconf.dhcp or Dhcp()
    return Identity(
        chaddr=mac_bytes(mac),
        client_id=naming.client_id(
            dhcp.client_id,
            container_id=request.container_id,
            network=netconf.name,
            if_name=request.if_name,
            mac=mac,
            pod=request.pod,
        ),
        hostname=host_name(dhcp.hostname),
        request=_requested(dhcp),
        provide=_provided(dhcp),
    )


def identity_of(netconf: NetConf, request: Request, record: Attachment) -> Identity:
    """As ``identity``, for a record; a lease that was taken ahead keeps the identifier that it was taken by."""
    who = identity(netconf, request, record.mac)
    return replace(who, client_id=bytes.fromhex(record.client_id)) if record.extra.get("warm") else who


def ahead(dhcp: Dhcp, record: Attachment) -> Identity:
    """Who asks for a lease that is taken ahead: of no pod yet, and in everything else as the configuration says."""
    return Identity(
        chaddr=mac_bytes(record.mac), client_id=bytes.fromhex(record.client_id), request=_requested(dhcp),
        provide=_provided(dhcp),
    )  # fmt: skip


def single_use(netconf: NetConf) -> bool:
    """Whether only this very sandbox has the identity: it follows from its container ID and from nothing asked for."""
    dhcp = netconf.dhcp
    if dhcp is None or netconf.mac or dhcp.client_id not in ("container", "mac"):
        return False
    return all(code != Option.CLIENT_ID for code, _ in _provided(dhcp))


def _provided(dhcp: Dhcp) -> tuple[tuple[int, bytes], ...]:
    return tuple(provide_option(provided.option, provided.value) for provided in dhcp.provide)


def _requested(dhcp: Dhcp) -> tuple[int, ...]:
    skip_default = any(asked.skip_default for asked in dhcp.request)
    return request_list(
        [asked.option for asked in dhcp.request if asked.option is not None], skip_default=skip_default
    )


def policy(dhcp: Dhcp, patience_s: float | None = None) -> Policy:
    """How it asks. ``patience_s`` overrides ``acquireTimeout``."""
    return Policy(
        patience_s=dhcp.acquire_timeout if patience_s is None else patience_s,
        probe=ProbeKind(dhcp.probe),
        trusted_servers=frozenset(dhcp.trusted_servers),
    )


def seed(who: Identity, now: float) -> int:
    """A number that differs from client to client and from time to time: transaction ids and jitter come from it."""
    return int.from_bytes(hashlib.blake2b(who.chaddr + repr(now).encode(), digest_size=8).digest(), "big")


def fresh(who: Identity, how: Policy, now: float) -> Client:
    """A client that has no lease yet."""
    return Client.fresh(who, seed(who, now), how)


def resumed(who: Identity, how: Policy, lease: Lease, now: float, *, rebooted: bool = False) -> Client:
    """A client that goes on with a lease from disk."""
    return Client.resumed(who, lease, now, seed(who, now), how, rebooted=rebooted)
