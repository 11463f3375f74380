"""Where metrics are answered."""

from __future__ import annotations

import pytest
from brdhcp.agent.metrics import place


@pytest.mark.parametrize("address", ["9473", ":9473", "127.0.0.1:9473"])
def test_metrics_are_on_loopback_unless_an_address_is_named(address: str) -> None:
    assert place(address) == ("127.0.0.1", 9473)


def test_an_address_that_is_named_is_taken() -> None:
    assert place("0.0.0.0:9473") == ("0.0.0.0", 9473)
    assert place("[::1]:9473") == ("::1", 9473)
    with pytest.raises(ValueError, match="localhost"):
        place("localhost")
