"""Making the agent's idea of the node true again: at start, and every now and then.

Most runtimes never call GC, nodes lose power, and namespaces vanish without a DEL; addresses must come back all the
same, or a pool fills up until nobody gets one.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from brdhcp.agent import faults, guards, ports, remove, sandbox, warm, wire
from brdhcp.agent.attached import Attached, netconf_of
from brdhcp.agent.core import Core
from brdhcp.agent.verbs import Verbs
from brdhcp.errors import CniError
from brdhcp.store.leases import Attachment
from brdhcp.store.spool import Spooled
from brdhcp.uplink import state as uplink

PASSING = (5, 11)
"""Codes of a DEL that may succeed later."""
LOOK_S = 0.5
AT_ONCE = 16
"""Attachments that are ended at the same time: each may wait two seconds for a server that does not answer."""
START_S = 3.0
"""How long requests wait for that at start. What is not ended by then ends beside them: a verb is never in its way."""

T = TypeVar("T")
Done = Counter[str]
"""How many attachments were ``kept``, ``released``, ``forgotten`` (expired), ``waiting`` (no way to release yet),
``guarded`` (their nftables rules were gone)."""


async def start(core: Core, verbs: Verbs) -> Done:
    """Go on where the last agent stopped: keep what lives, end what died, do the DELs that came meanwhile."""
    for damaged in core.store.damaged:
        core.events("record-damaged", f"a record cannot be read and was set aside: {damaged}", "error")
    faults.point("start: store loaded")
    living = await core.in_thread(_living, core)
    for record in core.store:
        if record.state == "bound" and record.key in living:
            _resume(core, record)
    faults.point("start: leases resumed")
    done: Done = Counter()
    ending = core.background(_end_what_died(core, verbs, done), "reconcile at start")
    await asyncio.wait([ending], timeout=START_S)
    done["kept"] = len(core.attached)
    return done


async def _end_what_died(core: Core, verbs: Verbs, done: Done) -> None:
    try:
        await spooled(core, verbs)
        await sweep(core, done)
    except (CniError, OSError) as error:
        core.events("reconcile-failed", str(error), "error")


def _resume(core: Core, record: Attachment) -> None:
    attached = core.attached[record.key] = Attached(core, record)
    try:
        attached.resume()
    except (CniError, ValueError) as error:
        core.events(
            "lease-unreadable", f"{record.key}: its lease cannot be gone on with: {error}", "error",
            attachment=str(record.key),
        )  # fmt: skip


def _living(core: Core) -> frozenset[object]:
    """Keys of the records whose namespace exists. Looks through ``/proc`` once at most."""
    found, unsure = set(), []
    for record in core.store:
        (found.add(record.key) if sandbox.at_its_path(record) else unsure.append(record))
    if unsure:
        identities = sandbox.of_processes()
        found |= {r.key for r in unsure if sandbox.is_at(r, identities.get(r.netns_identity or (0, 0), ""))}
    return frozenset(found)


async def sweep(core: Core, done: Done | None = None) -> Done:
    """End every attachment whose namespace is gone, whose ADD never finished, or whose end is still waiting.

    Those that live have the rules that guard them. ``done`` is added to.
    """
    done = Counter() if done is None else done
    living = await core.in_thread(_living, core)
    dead = [
        record
        for record in core.store
        if not (record.state == "bound" and record.key in living) and not core.warm.is_ready(record)
    ]
    await _each(dead, lambda record: _end_alone(core, record, done))
    if guarded := await guards.restore(core):
        done["guarded"] = guarded
    return done


async def _each(many: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
    """``work`` for each of them, so many at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: T) -> None:
        async with room:
            await work(each)

    await asyncio.gather(*(one(each) for each in many))


async def _end_alone(core: Core, record: Attachment, done: Done) -> None:
    async with core.alone(record.container_id, record.if_name):
        now = core.store.get(record.key)
        if now is None or now.state != record.state or now.created_at != record.created_at:
            return  # a verb was faster
        await _end(core, now, done)


async def _end(core: Core, record: Attachment, done: Done) -> None:
    if record.state == "releasing" and remove.expired(record):
        await core.forget(record.key)
        done["forgotten"] += 1
        return
    if record.role == warm.ROLE and _has_a_pod(core, record):
        await core.forget(record.key)  # a pod has the lease: its ADD was cut off before it forgot this
        return
    why = {
        "bound": "its namespace is gone",
        "intent": "its ADD never finished",
        "releasing": "its lease still had to be given back",
    }[record.state]
    try:
        gone = await remove.remove(core, record)
    except CniError as error:
        core.events("reconcile-failed", f"{record.key}: {error}", "error", attachment=str(record.key))
        return
    done["released" if gone else "waiting"] += 1
    if gone:
        core.events("reconciled", f"{record.key} was ended: {why}", "notice", attachment=str(record.key))


def _has_a_pod(core: Core, ahead: Attachment) -> bool:
    return any(
        each.mac == ahead.mac and each.role != warm.ROLE and each.state == "bound" for each in core.store
    )


async def spooled(core: Core, verbs: Verbs) -> None:
    """Do the DELs that the shim wrote down while no agent answered."""
    try:
        waiting = await core.in_thread(core.spool.pending)
    except CniError as error:
        core.events("spool-unreadable", str(error), "error")
        return
    await _each(waiting, lambda request: _delete(core, verbs, request))


async def _delete(core: Core, verbs: Verbs, request: Spooled) -> None:
    try:
        environment, stdin = wire.decode_body(request.body)
    except CniError as error:
        kept = core.spool.set_aside(request)
        core.events(
            "request-damaged", f"a DEL that waited cannot be read: {error}; it is kept as {kept}", "error"
        )
        return
    envelope = wire.Envelope(environment, stdin, asked_at=request.asked_at)
    status, answer = await verbs.handle(envelope)
    container = environment.get("CNI_CONTAINERID", "?")
    if status:
        core.events("del-failed", f"the DEL of {container} that waited failed: {answer.decode()}", "error")
        if json.loads(answer).get("code") in PASSING:
            return  # it is tried again
    else:
        core.events("del-done", f"the DEL of {container} that waited is done", "notice", container=container)
    await core.in_thread(core.spool.done, request)


async def replug(core: Core) -> None:
    """Ports that lost their bridge, as in a migration back and forth, are put into it again: their leases are valid."""
    bound = [record for record in core.store if record.state == "bound" and record.veth]
    for record in await core.in_thread(ports.replug, core.node, bound, netconf_of) if bound else ():
        core.events(
            "port-replugged", f"{record.veth} of {record.key} is in {record.bridge} again", "notice",
            attachment=str(record.key), bridge=record.bridge,
        )  # fmt: skip


async def forever(core: Core, verbs: Verbs, interval_s: float) -> None:
    """``spooled``, ``sweep`` and ``replug`` every ``interval_s`` seconds; ``replug`` also when an uplink has moved."""
    clock = asyncio.get_running_loop().time
    journal = uplink.journal(core.state_dir).path
    seen, due = _stamp(journal), clock() + interval_s
    while True:
        await asyncio.sleep(min(LOOK_S, interval_s))
        now = _stamp(journal)
        if now == seen and clock() < due:
            continue
        seen = now
        try:
            await replug(core)
            if clock() >= due:
                due = clock() + interval_s
                await spooled(core, verbs)
                await sweep(core)
        except (CniError, OSError) as error:
            core.events("reconcile-failed", str(error), "error")


def _stamp(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
