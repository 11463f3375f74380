"""A verb and a lease that changes at the same moment: one after the other, whichever comes first."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, wait

from tests.lab.agent.rig import NOTE, rig
from tests.lab.faults.both import Server, agree
from tests.lab.lan import until

HELD_NFT = """#!/bin/sh
# The first call after /run/hold was made waits until /run/held is gone.
if mv /run/hold /run/held 2>/dev/null; then
    while [ -e /run/held ]; do sleep 0.02; done
fi
PATH=${PATH#/run/bin:} exec nft "$@"
"""


def test_a_del_that_comes_while_a_changed_lease_is_applied_leaves_no_record_and_no_rule() -> None:
    guarded = {**NOTE, "spoofGuard": True}
    with rig(serve=False) as node:
        machine = node.lan.node
        machine.run("sh -c 'mkdir /run/bin; cat >/run/bin/nft; chmod +x /run/bin/nft'", stdin=HELD_NFT)
        server = Server(node.lan.router)
        try:
            node.start(PATH=f"/run/bin:{os.environ['PATH']}")
            address = node.add("web", guarded).address
            machine.run("touch /run/hold")
            server.mode(address="172.16.91.200")
            node.ctl("renew")
            until(lambda: machine.run("ls /run/held", check=False).stdout, what="the rules are being changed")
            with ThreadPoolExecutor(1) as pool:
                deleting = pool.submit(node.cni, "DEL", "web", guarded)
                wait([deleting], timeout=1)
                machine.run("rm /run/held")
                assert deleting.result().status == 0
            machine.run("ip netns del web")
            node.nothing_left()
            agree(node)
            rules = machine.run("nft list ruleset").stdout
            assert "172.16.91.200" not in rules
            assert address not in rules
            assert node.events("bug") == []
        finally:
            server.stop()
