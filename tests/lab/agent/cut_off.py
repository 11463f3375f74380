"""An ADD that is cancelled half way: what is left, as JSON.

Runs in a machine of the lab's. Arguments: the path of the pod's namespace, a folder for the state, and when. *link*:
while a thread makes the interface; the bridge must be there, and hold its ports back, as STP does: then the thread is
busy with the interface for a tenth of a second. *lease*: when the server has granted an address that is still probed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from brdhcp.agent.add import Add
from brdhcp.agent.core import Core
from brdhcp.agent.keeper import Keeper
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.states import State
from brdhcp.events import Events
from brdhcp.netlink.kernel import Kernel
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.store.leases import Store
from brdhcp.store.spool import Spool

from tests.lab.agent.rig import NOTE


class Watched(Add):
    """An ADD whose DHCP client can be looked at."""

    keeper: Keeper | None = None

    async def _acquired(self, keeper: Keeper) -> Lease:
        self.keeper = keeper
        return await super()._acquired(keeper)

    @property
    def probes(self) -> bool:
        return self.keeper is not None and self.keeper.client.state is State.PROBING


async def cut_off(netns: str, state: Path, when: str) -> dict[str, object]:
    """``cancelled``, and the ``links`` and ``records`` that are there when that is answered."""
    core = Core(state, Store(state), Spool(state / "spool"), Events(), Kernel())
    variables = {
        "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "web", "CNI_NETNS": netns, "CNI_IFNAME": "eth0", "CNI_PATH": "/",
    }  # fmt: skip
    stdin = json.dumps({**NOTE, "probe": "rfc5227"}).encode()
    request = Request.from_environment(variables)
    before = {link.name for link in core.node.links()}
    fd = os.open(netns, os.O_RDONLY)
    try:
        add = Watched(core, request, NetConf.parse(stdin, request), fd, stdin)
        adding = asyncio.create_task(add.run())
        while {link.name for link in core.node.links()} == before if when == "link" else not add.probes:
            await asyncio.sleep(0)
        adding.cancel()
        (outcome,) = await asyncio.gather(adding, return_exceptions=True)
        left = sorted({link.name for link in core.node.links()} - before)
        cancelled = isinstance(outcome, asyncio.CancelledError)
        return {"cancelled": cancelled, "links": left, "records": len(core.store)}
    finally:
        os.close(fd)
        await core.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(asyncio.wait_for(cut_off(sys.argv[1], Path(sys.argv[2]), sys.argv[3]), 20))))
