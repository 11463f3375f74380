"""What pings saw, read from what ping prints."""

from __future__ import annotations

import pytest

from envctl.errors import EnvctlError
from envctl.probe import Watch, _read


def printed(answered: list[int], sent: int) -> str:
    lines = [
        f"[{10 + seq * 0.002:.6f}] 64 bytes from 172.16.91.10: icmp_seq={seq} ttl=64 time=0.1 ms"
        for seq in answered
    ]
    return "\n".join([*lines, f"{sent} packets transmitted, {len(answered)} received"])


def read(answered: list[int], sent: int) -> Watch:
    watch = Watch("172.16.91.10", 0.002)
    _read(watch, printed(answered, sent))
    return watch


def test_every_answer_counts_and_the_gap_is_measured() -> None:
    watch = read([1, 2, 3, 6, 7], 7)
    assert (watch.sent, watch.answered, watch.lost) == (7, 5, 2)
    assert watch.longest_gap_s == pytest.approx(0.006)


def test_a_request_that_was_on_its_way_at_the_end_is_not_lost() -> None:
    assert read([1, 2, 3], 5).lost == 0


def test_what_was_asked_before_the_first_answer_is_not_counted() -> None:
    watch = read([33, 34, 35], 35)
    assert (watch.sent, watch.lost) == (3, 0)


def test_silence_at_the_end_is_lost() -> None:
    assert read([1, 2, 3], 503).lost == 500


def test_nothing_at_all_is_an_error() -> None:
    with pytest.raises(EnvctlError):
        read([], 5)
