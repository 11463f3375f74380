"""``isGateway: true`` on a LAN: the bridge takes the router's own address."""

from __future__ import annotations

import re
from collections.abc import Iterator

from envctl.providers.lab_network import INTERNET
from envctl.scenarios.capture import taps
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat

RACES, ROUNDS = 5, 20
SILENT = f"nothing is claimed of the internet, since {INTERNET.ip} did not answer before either"


def play(stage: Stage) -> Iterator[Beat]:
    gateway, host = stage.gateway, stage.host
    host.run("ping -n -c 1 -w 3 %s", gateway)
    router = stage.neighbour(gateway)
    stage.happens(router, f"the workstation knows the router as {gateway}", router)
    internet = stage.probe(address=str(INTERNET.ip))
    online = bool(internet.answered)
    yield Beat(
        "see",
        f"before: {gateway} is {router}; pings to {INTERNET.ip}: {internet}",
        packets=(internet.shown,),
        why="" if online else "Nothing stands for the internet here: the ARP table alone is the proof.",
        facts={"router": router, "neighbour_before": router, "internet_before": online},
    )
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
    yield from _stolen(stage, router, online)
    yield from _with_brdhcp(stage, router, online)


def _stolen(stage: Stage, router: str, online: bool) -> Iterator[Beat]:
    gateway, host = stage.gateway, stage.host
    addresses = stage.type("ip -4 -br addr show dev %s", stage.bridge)
    with taps(host, ("eth0",), f"arp and arp[6:2] = 2 and src host {gateway}") as seen:
        after = _who_is(stage, router)
    owners = sorted(set(re.findall(r"is-at ([0-9a-f:]+)", "\n".join(seen["eth0"].lines))))
    stage.forget_neighbours(host=False)  # a node that was busy knows the router's MAC for a while
    internet = stage.probe(address=str(INTERNET.ip))
    yield Beat(
        "see",
        f"{len(owners)} machines answer ARP for {gateway}; the workstation had {router} and now has {after}",
        shown=(addresses, seen["eth0"].shown(2)),
        packets=(stage.type("ip neigh show dev eth0", on=host), internet.shown),
        why="Whoever answers first, or last, is the router for this workstation. What it sends to the internet now"
        f" goes to the node, whose own way out is {gateway}: itself.",
        facts={"owners": owners, "neighbour_after": after, "internet_after": bool(internet.answered)},
    )
    stage.happens(f"{gateway}/" in addresses.output, f"{gateway} is on {stage.bridge}", addresses.output)
    stage.happens(len(owners) == 2, f"two machines answer ARP for {gateway}", owners)
    stage.happens(after not in ("", router), "the workstation's ARP table flips to the node", after)
    if online:
        stage.happens(not internet.answered, "the workstation loses the internet", internet)
    lost = f"{INTERNET.ip}, which answered before, no longer does" if online else SILENT
    yield Beat("proof", f"two owners of {gateway}; the ARP table flipped; {lost}")


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


def _with_brdhcp(stage: Stage, router: str, online: bool) -> Iterator[Beat]:
    stage.afresh()
    stage.brdhcp(isGateway=True)
    attempt = stage.add()
    stage.better(attempt.code in (2, 7), "isGateway with DHCP is refused", attempt)
    stage.host.run("ip -4 neigh flush nud all dev eth0")
    stage.host.run("ping -n -c 1 -w 3 %s", stage.gateway)
    now = stage.neighbour(stage.gateway)
    stage.better(now == router, f"{stage.gateway} stays the router's", now)
    if online:
        internet = stage.probe(address=str(INTERNET.ip))
        stage.better(internet.answered, "the workstation has the internet", internet)
    yield Beat(
        "brdhcp",
        f"ADD refuses it (code {attempt.code}): {attempt.error}",
        why="The pod's default route comes with the lease; nothing on the node needs a gateway address for it.",
        facts={"brdhcp_code": attempt.code, "brdhcp_error": attempt.error},
    )
