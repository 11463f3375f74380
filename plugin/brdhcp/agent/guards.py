"""Guards and masquerading that somebody took away: a firewall that is reloaded flushes every table, ours among them.

The rules are looked at with every reconcile, and by CHECK; what is missing is put back by the reconcile.
"""

from __future__ import annotations

import asyncio
import subprocess
from typing import TYPE_CHECKING

from brdhcp.agent import ports
from brdhcp.agent.attached import Attached
from brdhcp.bridge import nft
from brdhcp.errors import CniError, StoreFailure
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Result
from brdhcp.store.leases import Attachment

if TYPE_CHECKING:
    from brdhcp.agent.core import Core

KEYS = ("macspoofchk", "spoofGuard", "dhcpGuard", "raGuard", "ipMasq")
"""One of these is in every configuration that asks for rules."""


def may_have(record: Attachment) -> bool:
    """Whether its configuration may ask for rules; without reading it, as most do not."""
    return bool(record.veth) and any(key in record.netconf for key in KEYS)


class Rules:
    """What the kernel has of our tables, read once, when it is first wanted."""

    def __init__(self) -> None:
        self._loaded: nft.Loaded | None = None

    def faults(self, netconf: NetConf, veth: str, mac: str, result: Result) -> tuple[str, ...]:
        """What a port lacks of the rules that its configuration asks for. Raises ``StoreFailure`` without nft."""
        if not veth or not ports.is_guarded(netconf):
            return ()
        if self._loaded is None:
            self._loaded = loaded()
        addresses = [ip.address for ip in result.ips]
        wanted = nft.of_port(netconf.bridge, veth=veth, mac=mac, addresses=addresses)
        return tuple(
            f"{veth} has lost rules: {what}; brdhcpctl gc loads them again"
            for what in wanted.missing(self._loaded)
        )


def loaded() -> nft.Loaded:
    """What the kernel has of our tables. Raises ``StoreFailure`` when nft cannot be run."""
    listings = []
    for family in nft.RULES:
        argv = ["nft", "-j", "list", "table", family, nft.TABLE]
        try:
            ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreFailure(
                f"nft cannot be run: {error}", "install nftables, or leave the guards and ipMasq out"
            ) from error
        listings.append(ran.stdout if ran.returncode == 0 else "")
    return nft.Loaded.of(listings)


async def restore(core: Core) -> int:
    """Every living port has the rules that its configuration asks for; how many had lost some.

    A failure is an event: it keeps the reconcile from nothing else.
    """
    guarded = [
        attached
        for attached in tuple(core.attached.values())
        if attached.record.state == "bound" and may_have(attached.record)
    ]
    if not guarded:
        return 0
    try:
        bare = await core.in_thread(_bare, guarded)
        done = sum(await asyncio.gather(*(_restored(core, attached) for attached in bare)))
    except CniError as error:
        core.events("guards-missing", f"the guards of ports cannot be seen to: {error}", "error")
        return 0
    if done:
        core.events(
            "guards-restored", f"the nftables rules of {done} ports were gone and are loaded again", "warning"
        )
    return done


def _bare(guarded: list[Attached]) -> list[Attached]:
    rules = Rules()
    return [each for each in guarded if rules.faults(each.netconf(), *_port(each))]


async def _restored(core: Core, attached: Attached) -> bool:
    """Under the locks that DEL and a lease that changes take, so that nothing is loaded for a port that has gone."""
    record = attached.record
    async with core.alone(record.container_id, record.if_name), attached.lock:
        if core.attached.get(record.key) is not attached:
            return False
        await core.in_thread(ports.guard, attached.netconf(), *_port(attached))
    return True


def _port(attached: Attached) -> tuple[str, str, Result]:
    """The port, its MAC, and what it may send from: nothing while its lease is lost."""
    record: Attachment = attached.record
    lost = attached.keeper is not None and attached.keeper.lease is None
    return record.veth, record.mac, Result() if lost else attached.result()
