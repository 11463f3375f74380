"""``ip link set eth0 master mybr0``: the node's address no longer answers, although it is still there."""

from __future__ import annotations

from collections.abc import Iterator

from envctl.probe import watching
from envctl.scenarios.capture import taps
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat

WHY = (
    "What comes in by a port belongs to the bridge: the kernel hands it up as received on {bridge}, not on {nic}. The"
    " address is still on {nic}, and so is the route. With rp_filter 1, which CentOS 7 starts with, a packet from the"
    " LAN that came in by {bridge} and would be answered by {nic} is dropped, ARP included. Without rp_filter it is"
    " worse, since it looks well at first: as long as both sides remember each other's MAC, answers leave by {nic} and"
    " arrive. Once they have forgotten, ARP for the node is answered, but {nic}'s own ARP never is: the replies arrive"
    " on {bridge}."
)


def play(stage: Stage) -> Iterator[Beat]:
    before = stage.probe()
    stage.happens(before.answered == before.sent, "the node answers before anything is done", before)
    yield Beat("see", f"before: {before}", packets=(before.shown,), facts={"before": before.answered})
    stage.enslave()
    stage.reverse_path_filter(1)
    yield Beat("make", f"ip link set {stage.nic} master {stage.bridge}, with rp_filter 1 as CentOS 7 starts")
    with taps(
        stage.node, (stage.bridge,), f"icmp[icmptype] = icmp-echo and dst host {stage.node.address}"
    ) as seen:
        strict = stage.probe()
    arrived = seen[stage.bridge].count("echo request")
    yield Beat(
        "see",
        f"after: {strict}, while the address is where it was",
        shown=(strict.shown, stage.type("ip -4 -br addr show dev %s", stage.nic)),
        packets=(seen[stage.bridge].shown(3), stage.type("ip route show dev %s", stage.nic)),
        why=WHY.format(bridge=stage.bridge, nic=stage.nic),
        facts={"after": strict.answered, "requests_on_bridge": arrived},
    )
    stage.reverse_path_filter(0)
    stage.remember_neighbours()
    warm = stage.probe()
    stage.forget_neighbours()
    with taps(stage.node, (stage.bridge, stage.nic), "arp") as asked:
        cold = stage.probe()
    yield Beat(
        "see",
        f"with rp_filter 0: {warm} while ARP tables are warm, then {cold}",
        packets=(
            asked[stage.nic].shown(), asked[stage.bridge].shown(), stage.type("ip neigh show dev %s", stage.nic)
        ),
        facts={"without_rp_filter_warm": warm.answered, "without_rp_filter_cold": cold.answered},
    )  # fmt: skip
    holds = stage.node.address in stage.type("ip -4 -br addr show dev %s", stage.nic).output
    stage.happens(holds, f"the address stays on {stage.nic}", "it is gone")
    stage.happens(not strict.answered, "a port's address does not answer", strict)
    stage.happens(arrived, f"the requests come in by {stage.bridge}", "none did")
    stage.happens(
        not cold.answered, "without rp_filter it does not answer either once ARP tables are cold", cold
    )
    yield Beat("proof", f"the address is on {stage.nic} and does not answer: an address on a port is deaf")
    yield from _with_brdhcp(stage)


def _with_brdhcp(stage: Stage) -> Iterator[Beat]:
    stage.afresh()
    stage.brdhcp()
    with watching(stage.host, stage.node.address) as watch:
        stage.migrate()
    stage.better(watch.answered, "the node answers during the migration", watch)
    stage.forget_neighbours()
    after = stage.probe()
    stage.better(after.answered == after.sent, "the node answers after the migration", after)
    yield Beat(
        "brdhcp",
        f"brdhcpctl uplink migrate, pinged all the while: {watch}",
        shown=(stage.type("ip -4 -br addr show dev %s", stage.bridge),),
        facts={
            "brdhcp_sent": watch.sent,
            "brdhcp_lost": watch.lost,
            "brdhcp_gap_s": round(watch.longest_gap_s, 4),
        },
    )
