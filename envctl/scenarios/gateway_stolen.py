"""``isGateway: true`` on a LAN: the bridge takes the router's own address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envctl.providers.lab_network import INTERNET
from envctl.scenarios.capture import taps
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat

RACES, ROUNDS = 5, 20


def play(stage: Stage) -> Iterator[Beat]:
    gateway, host = stage.gateway, stage.host
    host.run("ping -n -c 1 -w 3 %s", gateway)
    router = before = stage.neighbour(gateway)
    stage.happens(router, f"the workstation knows the router as {gateway}", before)
    stage.reference(isGateway=True)
    stage.enslave()
    attempt = stage.add()
    stage.happens(
        attempt.address, "with the NIC in the bridge the reference plugins get a lease", attempt.error
    )
    yield Beat(
        "make",
        f"isGateway: true, and {stage.nic} in {stage.bridge} so that there is a lease: the pod is {attempt.address}",
        why="isGateway means: put the gateway address that the IPAM answered on the bridge. For host-local that is an"
        " address of our own. For DHCP it is the LAN's router.",
    )
    addresses = stage.type("ip -4 -br addr show dev %s", stage.bridge)
    with taps(host, ("eth0",), f"arp and arp[6:2] = 2 and src host {gateway}") as seen:
        after = _who_is(stage, router)
    owners = sorted(set(re.findall(r"is-at ([0-9a-f:]+)", "\n".join(seen["eth0"].lines))))
    stage.forget_neighbours(host=False)  # a node that was busy knows the router's MAC for a while
    reached = host.run("ping -n -c 2 -i 0.05 -W 0.3 %s", INTERNET.ip, check=False).exit_status == 0
    yield Beat(
        "see",
        f"{len(owners)} machines answer ARP for {gateway}; the workstation had {before} and now has {after}",
        shown=(addresses, seen["eth0"].shown(2)),
        packets=(
            stage.type("ip neigh show dev eth0", on=host),
            stage.type("ping -c 1 -W 0.3 %s", INTERNET.ip, on=host),
        ),
        why="Whoever answers first, or last, is the router for this workstation. What it sends to the internet now"
        f" goes to the node, whose own way out is {gateway}: itself.",
        facts={"owners": owners, "router": router, "neighbour_before": before, "neighbour_after": after,
               "internet_reached": reached},
    )  # fmt: skip
    stage.happens(f"{gateway}/" in addresses.output, f"{gateway} is on {stage.bridge}", addresses.output)
    stage.happens(len(owners) == 2, f"two machines answer ARP for {gateway}", owners)
    stage.happens(after not in ("", router), "the workstation's ARP table flips to the node", after)
    stage.happens(not reached, "the workstation loses the internet", "it still answers")
    yield Beat("proof", f"two owners of {gateway}; the ARP table flipped; {INTERNET.ip} no longer answers")
    yield from _with_brdhcp(stage, router)


def _who_is(stage: Stage, router: str) -> str:
    """The MAC that the workstation has once the node has answered for the gateway, or has said something with its
    address: whichever of two answers is the later one counts, and so does who asked last.
    """
    found = ""
    for number in range(ROUNDS):
        stage.host.run("ip -4 neigh flush nud all dev eth0")
        stage.host.run("ping -n -c 1 -W 0.3 %s", stage.gateway, check=False)
        if number >= RACES:
            stage.node.run("ping -n -c 2 -W 0.3 -I %s %s", stage.bridge, stage.host.address, check=False)
        found = stage.neighbour(stage.gateway)
        if found not in ("", router):
            break
    return found


def _with_brdhcp(stage: Stage, router: str) -> Iterator[Beat]:
    stage.afresh()
    stage.brdhcp(isGateway=True)
    attempt = stage.add()
    stage.better(attempt.code in (2, 7), "isGateway with DHCP is refused", attempt)
    stage.host.run("ip -4 neigh flush nud all dev eth0")
    stage.host.run("ping -n -c 1 -w 3 %s", stage.gateway)
    now = stage.neighbour(stage.gateway)
    stage.better(now == router, f"{stage.gateway} stays the router's", now)
    yield Beat(
        "brdhcp",
        f"ADD refuses it (code {attempt.code}): {attempt.error}",
        why="The pod's default route comes with the lease; nothing on the node needs a gateway address for it.",
        facts={"brdhcp_code": attempt.code, "brdhcp_error": attempt.error},
    )
