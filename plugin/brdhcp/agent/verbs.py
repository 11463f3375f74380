"""The verbs of the CNI SPEC, from a request of the shim to what it prints."""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from brdhcp.agent import check, delegate, ports, remove, wire
from brdhcp.agent.add import Add
from brdhcp.agent.attached import Attached
from brdhcp.agent.core import Core
from brdhcp.errors import (
    CniError,
    LimitedConnectivity,
    NotAvailable,
    StoreFailure,
    TryAgainLater,
    UnsupportedField,
)
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.store.leases import Attachment, Key
from brdhcp.uplink import state as uplink

DEADLINE_S = 105.0
"""A verb ends before the shim stops waiting (110 s), so that what it undoes is undone."""

RENEW_BATCH, RENEW_PAUSE_S = 64, 1.0
"""How many leases ``brdhcpctl renew`` asks for at once, and the pause before the next ones."""


@dataclass(slots=True)
class Verbs:
    """Answers requests. Whatever happens, the answer is a result or an error as the SPEC has them."""

    core: Core
    sweep: Callable[[], Awaitable[Mapping[str, int]]]
    """What ``brdhcpctl gc`` asks for."""
    observe: Callable[[str, int, float], None] = lambda verb, code, seconds: None
    """Told of every CNI request: the verb, the error code or 0, and how long it took."""

    async def handle(self, envelope: wire.Envelope) -> tuple[int, bytes]:
        """Exit status and output for the shim."""
        began = time.monotonic()
        status, answer, code = await self._handled(envelope)
        self.observe(envelope.environment.get("CNI_COMMAND", ""), code, time.monotonic() - began)
        return status, answer

    async def _handled(self, envelope: wire.Envelope) -> tuple[int, bytes, int]:
        """Exit status, output, and the code of the error in it (0 without)."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                body = await self._answer(envelope)
        except CniError as error:
            return self._failed(envelope, error)
        except TimeoutError:
            return self._failed(
                envelope, TryAgainLater(f"not done within {DEADLINE_S:g} s", "see the log of brdhcpd")
            )
        except Exception as error:
            where = traceback.format_exc(limit=-4).replace("\n", " | ")
            self.core.events("bug", f"{type(error).__name__}: {error}", "error", traceback=where)
            bug = CniError(
                f"a bug of brdhcpd: {type(error).__name__}: {error}", "please report it with the agent's log"
            )
            return self._failed(envelope, bug)
        return 0, b"" if body is None else json.dumps(body, separators=(",", ":")).encode(), 0

    def _failed(self, envelope: wire.Envelope, error: CniError) -> tuple[int, bytes, int]:
        variables = envelope.environment
        verb, container = variables.get("CNI_COMMAND", "?"), variables.get("CNI_CONTAINERID", "")
        self.core.events(
            "request-failed", f"{verb} {container[:13]}: {error}", "warning", verb=verb, container=container or None,
            code=error.code,
        )  # fmt: skip
        return 1, json.dumps(error.as_json(_version_of(envelope.stdin))).encode(), error.code

    async def _answer(self, envelope: wire.Envelope) -> dict[str, Any] | None:
        match envelope.environment.get("BRDHCP_COMMAND"):
            case "RECONCILE":
                return dict(await self.sweep())
            case "RENEW":
                return {"asked": self._renew()}
        request = Request.from_environment(envelope.environment)
        netconf = NetConf.parse(envelope.stdin, request)
        match request.command:
            case "ADD":
                return await self._add(request, netconf, envelope)
            case "DEL":
                await self._del(request, netconf, envelope)
            case "CHECK":
                await check.check(self.core, request, netconf, envelope.netns_fd, envelope.stdin)
            case "STATUS":
                await self._status(request, netconf, envelope)
            case "GC":
                await self._gc(request, netconf, envelope)
        return None

    def _renew(self) -> int:
        """Ask the server for every lease, a batch at once and the others soon; how many that are."""
        kept = [attached for attached in self.core.attached.values() if attached.keeper is not None]
        self.core.background(self._renew_batches(kept), "renew")
        return len(kept)

    async def _renew_batches(self, kept: list[Attached]) -> None:
        """Not all of them in one go: neither the server nor our descriptors are asked for a thousand at once."""
        for first in range(0, len(kept), RENEW_BATCH):
            if first:
                await asyncio.sleep(RENEW_PAUSE_S)
            for attached in kept[first : first + RENEW_BATCH]:
                if attached.keeper is not None and self.core.attached.get(attached.record.key) is attached:
                    attached.keeper.renew()

    async def _add(self, request: Request, netconf: NetConf, envelope: wire.Envelope) -> dict[str, Any]:
        if (what := uplink.migrating(self.core.state_dir)) is not None:
            raise TryAgainLater(
                f"the uplink is being migrated: {what}", "brdhcpctl uplink status says how far it is"
            )
        async with self.core.alone(request.container_id, request.if_name):
            result = await Add(self.core, request, netconf, envelope.netns_fd, envelope.stdin).run()
        return result.as_json(netconf.cni_version)

    async def _del(self, request: Request, netconf: NetConf, envelope: wire.Envelope) -> None:
        """Succeeds for what is gone already, and whatever became of the configuration since."""
        key = Key(network=netconf.name, container_id=request.container_id, if_name=request.if_name)
        async with self.core.alone(request.container_id, request.if_name):
            record = self.core.store.get(key)
            if record is not None and envelope.asked_at is not None and record.created_at > envelope.asked_at:
                self.core.events(
                    "del-outdated", f"a DEL of {key} came before its ADD: the pod keeps its interface", "notice",
                    attachment=str(key),
                )  # fmt: skip
            elif record is not None:
                await remove.remove(self.core, record)
            elif request.role == "main":
                await remove.leftovers(self.core, request.container_id, request.if_name)
                if netconf.delegated:
                    await delegate.call(netconf.delegated, "DEL", request.env, envelope.stdin, request.netns)

    async def _status(self, request: Request, netconf: NetConf, envelope: wire.Envelope) -> None:
        """Is an ADD likely to succeed? (CNI SPEC, "STATUS".)"""
        if (what := uplink.migrating(self.core.state_dir)) is not None:
            raise NotAvailable(f"the uplink is being migrated: {what}", "brdhcpctl uplink status")
        if netconf.delegated:
            await delegate.call(netconf.delegated, "STATUS", request.env, envelope.stdin, "")
        if request.role == "ipam":
            return
        try:
            ports.require_nft(netconf)
        except UnsupportedField as error:
            raise NotAvailable(error.msg, error.details) from error
        name = netconf.bridge.name
        here = await self.core.in_thread(self.core.node.link, name)
        if here is None and any(record.bridge == name for record in self.core.store):
            raise LimitedConnectivity(
                f"the bridge {name} is gone, and pods were on it",
                "the next ADD makes it again; those pods must be made anew",
            )
        if here is None and netconf.dhcp is not None:
            raise NotAvailable(
                f"there is no bridge {name}, so no DHCP server can be reached",
                "make it of the NIC that leads to the LAN: brdhcpctl uplink plan",
            )
        if here is not None and here.kind != "bridge":
            raise NotAvailable(f"{name} is not a bridge", "see the key bridge of the network configuration")
        if here is not None and netconf.dhcp is not None:
            why = await self.core.in_thread(ports.why_silent, self.core.node, name)
            if "no uplink" in why or "no carrier" in why:
                raise NotAvailable(f"no DHCP server can be reached from {name}", why)

    async def _gc(self, request: Request, netconf: NetConf, envelope: wire.Envelope) -> None:
        """Ends every attachment of this network that the runtime does not name (CNI SPEC, "GC")."""
        valid = {(known.container_id, known.if_name) for known in netconf.valid_attachments or ()}
        failed = []
        for record in self.core.store:
            if record.network != netconf.name or (record.container_id, record.if_name) in valid:
                continue
            try:
                await self._collect(record)
            except CniError as error:
                failed.append(f"{record.key}: {error.msg}")
        if netconf.delegated:
            await delegate.call(netconf.delegated, "GC", request.env, envelope.stdin, "")
        if failed:
            raise StoreFailure("not everything could be ended: " + "; ".join(failed), "call GC again")

    async def _collect(self, record: Attachment) -> None:
        """End it as it is once it is our turn, unless another one has its name by then."""
        async with self.core.alone(record.container_id, record.if_name):
            now = self.core.store.get(record.key)
            if now is None or now.created_at != record.created_at:
                return
            await remove.remove(self.core, now)
        self.core.events(
            "collected", f"{record.key} is unknown to the runtime", "notice", attachment=str(record.key)
        )


def _version_of(stdin: bytes) -> str:
    """The version to word an error in; a configuration that cannot be read gets the first one."""
    try:
        version = json.loads(stdin)["cniVersion"]
    except (ValueError, KeyError, TypeError):
        return "0.1.0"
    return version if isinstance(version, str) else "0.1.0"
