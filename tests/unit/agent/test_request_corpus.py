"""The committed corpus of requests goes through the fuzzer's target in every run of the unit ring."""

from __future__ import annotations

from pathlib import Path

import pytest
from brdhcp.agent import wire
from brdhcp.errors import CniError
from brdhcp.spec.environment import Request

from tests.fuzz.fuzz_request import one_input

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus" / "request").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_a_request_is_read_or_refused_and_nothing_else(path: Path) -> None:
    one_input(path.read_bytes())


def test_bytes_that_are_no_utf_8_are_refused_by_the_name_of_their_variable() -> None:
    body = wire.decode_body(b"CNI_COMMAND=ADD\0CNI_IFNAME=e\xf4h0\0\0{}")[0]
    with pytest.raises(CniError, match="CNI_IFNAME is not UTF-8") as caught:
        Request.from_environment(body)
    assert caught.value.code == 4
