"""``envctl reproduce`` without a lab: what is chosen, how it is told, and what is said when a symptom is gone."""

from __future__ import annotations

import json

import pytest

from envctl.errors import UsageError
from envctl.scenarios.story import Beat, NoLongerHappensError, Outcome, Shown
from envctl.scenarios.table import SYMPTOMS, chosen, environment_name
from envctl.show import story

SEEN = Beat(
    "see", "DHCPDISCOVER on mybr0: 1; on eth0: 0",
    shown=(Shown("master", "tcpdump -i mybr0", "a frame"),),
    packets=(Shown("master", "tcpdump -i eth0", "(nothing)"),),
    why="A bridge hands a broadcast to its other ports.",
    facts={"on_bridge": 1},
)  # fmt: skip
OUTCOME = Outcome("broadcast-trapped", "t", 1.5, (SEEN, Beat("proof", "it is", facts={"on_nic": 0})))


def test_all_is_every_symptom_and_so_is_none() -> None:
    assert chosen([]) == chosen(["all"]) == SYMPTOMS


def test_symptoms_come_in_the_order_of_the_note() -> None:
    assert [symptom.id for symptom in chosen(["fixed", "no-lease"])] == ["no-lease", "fixed"]


def test_an_unknown_symptom_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        chosen(["no-leash"])
    assert "no-leash" in caught.value.what
    assert "no-lease" in caught.value.hint


def test_each_symptom_has_a_lab_of_its_own() -> None:
    assert environment_name("x", SYMPTOMS[0]) == "x-1"
    assert len({environment_name("x", symptom) for symptom in SYMPTOMS}) == 7


def test_a_symptom_that_is_gone_says_so_in_those_words() -> None:
    error = NoLongerHappensError("address-lost", "a port's address does not answer", "3 of 3 answered")
    assert "address-lost no longer happens" in error.what
    assert "3 of 3 answered" in str(error)
    assert error.exit_code == 3


def test_a_few_lines_by_default_and_packets_and_reasons_on_demand() -> None:
    short, long = (story.beat(SEEN, 80, explain=explain).plain for explain in (False, True))
    assert "a frame" in short and "(nothing)" not in short and "other ports" not in short
    assert "(nothing)" in long and "other ports" in long


def test_nothing_ends_in_spaces_and_sentences_are_wrapped() -> None:
    text = story.story(SYMPTOMS[1], OUTCOME, 80, explain=True).plain
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_facts_of_all_beats_are_the_outcome() -> None:
    data = json.loads(json.dumps(OUTCOME.as_data()))
    assert data["facts"] == {"on_bridge": 1, "on_nic": 0}
    assert data["happens"] is True
