"""eth0 and mybr0 both have a route to the LAN, and nothing answers."""

from __future__ import annotations

from collections.abc import Iterator

from envctl.scenarios.capture import taps
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat


def play(stage: Stage) -> Iterator[Beat]:
    cidr, there = str(stage.config.network.cidr), stage.host.address
    yield _before(stage)
    stage.reference(isGateway=True)
    stage.enslave()
    attempt = stage.add()
    stage.happens(
        attempt.address, "with the NIC in the bridge the reference plugins get a lease", attempt.error
    )
    stage.reverse_path_filter(1)
    stage.forget_neighbours()
    yield Beat(
        "make", f"{stage.nic} keeps {stage.node.address}, and isGateway gives {stage.bridge} {stage.gateway}"
    )
    routes = stage.type("ip route show %s", cidr)
    way = stage.type("ip route get %s", there)
    with taps(stage.node, (stage.nic, stage.bridge), f"arp and host {there}") as seen:
        out = stage.probe(address=there, on=stage.node)
    back = stage.probe()
    replies = {device: seen[device].count("Reply", f"{there} is-at") for device in seen}
    yield Beat(
        "see",
        f"two routes to {cidr}, and the one that counts goes by {stage.nic}",
        shown=(routes, way),
        packets=(seen[stage.nic].shown(4), seen[stage.bridge].shown(4), back.shown, out.shown),
        why=f"Both routes have the same length and the same metric; the older one wins. The node asks by {stage.nic}"
        f" who has {there}; the answer comes in by the port and is the bridge's, and {stage.nic} waits for ever."
        f" Removing either route does not help: the address must be on {stage.bridge}, and only there.",
        facts={
            "routes": routes.output.splitlines(),
            "way": way.output.splitlines()[0],
            "arp_replies": replies,
            "out_after": out.answered,
            "back_after": back.answered,
        },
    )
    stage.happens(len(routes.output.splitlines()) == 2, f"there are two routes to {cidr}", routes.output)
    stage.happens(f"dev {stage.nic}" in way.output, f"the kernel chooses the one by {stage.nic}", way.output)
    stage.happens(not out.answered, "the node reaches nobody", out)
    stage.happens(not back.answered, "and nobody reaches the node", back)
    yield Beat("proof", "neither side reaches the other, which both did before")
    yield from _with_brdhcp(stage, cidr)


def _before(stage: Stage) -> Beat:
    """The control: with the same empty ARP tables both sides reach each other while there is one route."""
    stage.forget_neighbours()
    out, back = stage.probe(address=stage.host.address, on=stage.node), stage.probe()
    stage.happens(out.answered, "the node reaches the workstation before anything is done", out)
    stage.happens(back.answered, "the node answers before anything is done", back)
    return Beat(
        "see",
        f"before: pings of the node: {out}; of the workstation: {back}",
        packets=(out.shown, back.shown),
        facts={"out_before": out.answered, "back_before": back.answered},
    )


def _with_brdhcp(stage: Stage, cidr: str) -> Iterator[Beat]:
    stage.afresh()
    stage.brdhcp()
    stage.migrate()
    stage.forget_neighbours()
    routes, after = stage.type("ip route show %s", cidr), stage.probe()
    lines = routes.output.splitlines()
    stage.better(len(lines) == 1 and stage.bridge in lines[0], f"one route, by {stage.bridge}", routes.output)
    stage.better(after.answered == after.sent, "the node answers", after)
    yield Beat(
        "brdhcp", f"one route, by {stage.bridge}; {after}", shown=(routes,), facts={"brdhcp_routes": lines}
    )
