"""Delays: fast at first, patient later, never the same for two clients."""

from __future__ import annotations

from brdhcp.dhcp.backoff import Backoff, fraction, spaced_retry
from hypothesis import given
from hypothesis import strategies as st


def test_the_delays_double_from_a_quarter_of_a_second_to_the_rfcs_64_seconds() -> None:
    steady = Backoff(jitter=0)
    assert [steady.delay(attempt, 0) for attempt in range(11)] == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 64, 64]
    assert steady.delay(10_000, 0) == 64


@given(st.integers(0, 2**64), st.integers(0, 10_000), st.integers(0, 20))
def test_jitter_stays_within_its_share(seed: int, counter: int, attempt: int) -> None:
    plain = Backoff(jitter=0).delay(attempt, 0)
    assert 0.8 * plain <= Backoff().delay(attempt, seed, counter) <= 1.2 * plain


def test_fractions_are_spread_evenly_and_repeat_with_the_seed() -> None:
    drawn = [fraction(seed, 3) for seed in range(1000)]
    assert drawn == [fraction(seed, 3) for seed in range(1000)]
    tenths = [sum(at / 10 <= f < (at + 1) / 10 for f in drawn) for at in range(10)]
    assert all(60 < count < 140 for count in tenths)


def test_a_renewal_is_retried_after_half_of_what_remains_but_not_before_a_minute() -> None:
    assert 45 * 60 * 0.9 < spaced_retry(90 * 60, 4 * 3600, 1, 1) <= 45 * 60
    assert 54 < spaced_retry(70, 4 * 3600, 1, 1) <= 60
    assert spaced_retry(50, 4 * 3600, 1, 1) == float("inf")


def test_a_short_lease_has_retries_too() -> None:
    assert 20 < spaced_retry(45, 120, 1, 1) <= 22.5
    assert 1.8 < spaced_retry(3, 120, 1, 1) <= 2


def test_a_renewal_without_an_end_is_retried_every_minute() -> None:
    assert spaced_retry(float("inf"), 0xFFFF_FFFF, 1, 1) == 60
