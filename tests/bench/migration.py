"""The uplink migration, there and back, under a thousand pings a second: what was lost, and the longest gap."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.figures import Figure
from tests.lab.lan import Lan
from tests.lab.uplink.rig import Probe, settled, uplink


def play(rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """Migrate and roll back ``rounds`` times; figures over all of them."""
    sent = lost = 0
    longest = 0.0
    with Lan(serve=False) as lan:
        settled(lan)
        for number in range(rounds):
            say(f"migration {number + 1} of {rounds}")
            with Probe(lan) as probe:
                uplink(lan, "migrate --confirm-within 60")
                uplink(lan, "confirm")
                uplink(lan, "rollback")
            sent, lost = sent + probe.sent, lost + probe.lost
            longest = max(longest, probe.longest_gap_ms)
    about = f"of {sent} in {rounds} migrations and rollbacks"
    return [
        Figure(f"pings lost, {about}", lost, "pings", "0", lost == 0),
        Figure("longest gap of the migration", longest, "ms"),
    ]
