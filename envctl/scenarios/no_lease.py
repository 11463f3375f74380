"""A pod is created, the DHCP daemon asks and asks, and no address comes."""

from __future__ import annotations

from collections.abc import Iterator

from envctl.scenarios.stage import DAEMON_LOG, PATIENCE, POD, Stage
from envctl.scenarios.story import Beat, Shown
from envctl.show.words import duration

ACQUIRE_S = 1.0


def play(stage: Stage) -> Iterator[Beat]:
    stage.reference()
    yield Beat(
        "make",
        f"{stage.bridge} with the reference plugins bridge and dhcp; a pod is added",
        packets=(stage.type("cat %s", stage.netconf),),
        why="The network configuration of the note. Nothing but pods will ever be plugged into this bridge.",
    )
    attempt = stage.add()
    log = [line for line in stage.daemon_log() if "Attempting" not in line]
    yield Beat(
        "see",
        f"ADD fails after {duration(attempt.seconds)}: {attempt.error}",
        shown=(Shown("master", f"tail -n 2 {DAEMON_LOG}", "\n".join(log[-2:])),),
        packets=(
            Shown("master", f"cat {DAEMON_LOG}", "\n".join(log)),
            stage.type("ip -br link show master %s; ls /sys/class/net/%s/brif", stage.bridge, stage.bridge),
        ),
        why=PATIENCE.format(daemon=stage.patience.daemon)
        + " Versions before 0.8 said resource temporarily unavailable where this one says that no DHCP"
        " packet was received.",
        facts={"add_error": attempt.error, "add_seconds": round(attempt.seconds, 2), "daemon_log": log},
    )
    stage.happens(not attempt.address, "a pod without uplink gets no address", f"it got {attempt.address}")
    waited = [line for line in log if "no DHCP packet received" in line or "temporarily unavailable" in line]
    stage.happens(waited, "the daemon's log says that it waited in vain", "\n".join(log))
    books = stage.new_leases()
    stage.happens(not books, "the DHCP server never hears of the pod", books)
    yield Beat("proof", "no address; the daemon waited in vain; the DHCP server never heard of the pod")
    yield from _with_brdhcp(stage)


def _with_brdhcp(stage: Stage) -> Iterator[Beat]:
    stage.brdhcp(acquire_s=ACQUIRE_S)
    attempt = stage.add()
    stage.better(attempt.code == 11, "ADD says try again later (code 11)", attempt)
    stage.better("uplink" in attempt.hint, "ADD says that the bridge has no uplink", attempt)
    yield Beat(
        "brdhcp",
        f"ADD answers after {duration(attempt.seconds)} (code 11) and says why: {attempt.hint}",
        why=f"acquireTimeout is {ACQUIRE_S:g} s here and 10 s by itself. Code 11 is try again later: the runtime"
        f" does, and pod {POD} has its address as soon as the bridge has an uplink.",
        facts={"brdhcp_code": attempt.code, "brdhcp_error": attempt.error, "brdhcp_says": attempt.hint},
    )
