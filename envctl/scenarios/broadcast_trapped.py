"""The pod's DHCPDISCOVER is on the bridge, and not on the NIC."""

from __future__ import annotations

from collections.abc import Iterator

from envctl.errors import EnvctlError
from envctl.scenarios.capture import taps
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat

DISCOVER = "udp dst port 67 and udp[248:2] = 0x3501 and udp[250] = 1"
"""BPF: the first DHCP option is 53 (message type), one octet long, and says DHCPDISCOVER."""


def play(stage: Stage) -> Iterator[Beat]:
    stage.reference()
    stage.do(f"link add {stage.bridge} type bridge", f"link set {stage.bridge} up")
    yield Beat(
        "make", f"{stage.bridge} as the reference bridge plugin makes it; tcpdump on it and on {stage.nic}"
    )
    with taps(stage.node, (stage.bridge, stage.nic), DISCOVER) as seen, stage.adding():
        arrived = seen[stage.bridge].wait_for("Request from", stage.patience.wait_s)
    on_bridge, on_nic = (seen[device].count("Request from") for device in (stage.bridge, stage.nic))
    yield Beat(
        "see",
        f"DHCPDISCOVER on {stage.bridge}: {on_bridge}; on {stage.nic}: {on_nic}",
        shown=(seen[stage.bridge].shown(3), seen[stage.nic].shown(3)),
        packets=(
            stage.type("bridge link show"),
            stage.type("bridge fdb show br %s state permanent", stage.bridge),
        ),
        why=f"A bridge hands a broadcast to its other ports, and to the node itself. {stage.nic} is not a port, so the"
        " broadcast stays in this machine; and a Linux host does not route 255.255.255.255.",
        facts={"discovers": {stage.bridge: on_bridge, stage.nic: on_nic}},
    )
    stage.happens(
        arrived and on_bridge, f"the pod's DHCPDISCOVER reaches {stage.bridge}", seen[stage.bridge].lines
    )
    stage.happens(not on_nic, f"no DHCPDISCOVER leaves by {stage.nic}", seen[stage.nic].lines)
    yield Beat("proof", f"it is on {stage.bridge}, and none left by {stage.nic}")
    yield from _with_brdhcp(stage)


def _with_brdhcp(stage: Stage) -> Iterator[Beat]:
    stage.afresh()
    stage.brdhcp()
    stage.migrate()
    with taps(stage.node, (stage.bridge, stage.nic), DISCOVER) as seen:
        attempt = stage.add()
        if not attempt.address:
            raise EnvctlError(f"with brdhcp the pod got no address: {attempt.error}", cause=attempt.hint)
    on_bridge, on_nic = (seen[device].count("Request from") for device in (stage.bridge, stage.nic))
    stage.better(
        on_bridge and on_bridge == on_nic, "every DHCPDISCOVER leaves by the NIC", (on_bridge, on_nic)
    )
    yield Beat(
        "brdhcp",
        f"with {stage.nic} in {stage.bridge}: {on_bridge} there, {on_nic} here, and the pod is {attempt.address}",
        packets=(seen[stage.bridge].shown(3), seen[stage.nic].shown(3)),
        facts={
            "brdhcp_discovers": {stage.bridge: on_bridge, stage.nic: on_nic},
            "brdhcp_address": attempt.address,
        },
    )
