"""When to try again, without a clock and without ``random``.

Chance is a seed and a counter: the same client asks at the same moments in every run of a test, and a
thousand clients with different seeds ask at different ones.
"""

from __future__ import annotations

from dataclasses import dataclass

_MASK = (1 << 64) - 1


def scatter(seed: int, counter: int) -> int:
    """A 64-bit number that looks random: the splitmix64 finalizer over seed and counter."""
    z = (seed + 0x9E3779B97F4A7C15 * (counter + 1)) & _MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    return z ^ z >> 31


def fraction(seed: int, counter: int) -> float:
    """A number from 0 up to, not including, 1."""
    return (scatter(seed, counter) >> 11) / (1 << 53)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays in seconds: ``first``, doubling up to ``longest``, each longer or shorter by a share of up to
    ``jitter``.

    RFC 2131 §4.1 starts at 4 s, made for the networks of 1997; on a LAN a lost first packet should cost a
    blink, so the series starts early and reaches the RFC's 4, 8, 16, 32, 64 s from its fifth member on.
    """

    first: float = 0.25
    longest: float = 64.0
    jitter: float = 0.2

    def delay(self, attempt: int, seed: int, counter: int = 0) -> float:
        """Seconds to wait after the ``attempt``-th try, counted from 0."""
        plain = min(self.first * 2.0 ** min(attempt, 32), self.longest)
        return plain * (1 + self.jitter * (2 * fraction(seed, counter) - 1))


def spaced_retry(remaining: float, lease_s: float, seed: int, counter: int) -> float:
    """Seconds until the next DHCPREQUEST while RENEWING or REBINDING (RFC 2131 §4.4.5), infinite for "not
    before the end".

    Half of the time that remains, but not less than 60 s; for leases under an hour the least is a sixtieth of
    the lease, else a short lease would have no second try. A tenth is taken off at random to keep clients
    apart.
    """
    least = min(60.0, max(lease_s / 60, 0.5))
    if remaining == float("inf"):
        return least
    delay = max(remaining / 2, least) * (1 - 0.1 * fraction(seed, counter))
    return delay if delay < remaining else float("inf")
