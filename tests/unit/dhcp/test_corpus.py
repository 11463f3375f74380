"""The fuzzer's committed corpus goes through the fuzzer's target in every run of the unit ring."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzz_message import one_input

CORPUS = sorted((Path(__file__).parents[2] / "fuzz" / "corpus" / "message").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_the_target_takes_every_input_of_the_corpus(path: Path) -> None:
    one_input(path.read_bytes())


def test_the_corpus_has_inputs_for_every_reader() -> None:
    assert {path.read_bytes()[:1] for path in CORPUS} == {b"F", b"O", b"M"}


@given(st.sampled_from(b"FOM"), st.binary(max_size=400))
def test_the_target_takes_anything(kind: int, data: bytes) -> None:
    one_input(bytes((kind,)) + data)
