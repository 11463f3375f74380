"""``envctl reproduce`` without a lab: what is chosen, how it is told, and what is said when a symptom is gone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from envctl.cli import main, stories
from envctl.cli.output import Format
from envctl.config import Config
from envctl.errors import UsageError
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat, NoLongerHappensError, Outcome, Shown, Symptom
from envctl.scenarios.table import SYMPTOMS, attempt, chosen, environment_name, perform
from envctl.show import story
from tests.unit.envctl.fake import FakeProvider

SEEN = Beat(
    "see", "DHCPDISCOVER on mybr0: 1; on eth0: 0",
    shown=(Shown("master", "tcpdump -i mybr0", "a frame"),),
    packets=(Shown("master", "tcpdump -i eth0", "(nothing)"),),
    why="A bridge hands a broadcast to its other ports.",
    facts={"on_bridge": 1},
)  # fmt: skip
OUTCOME = Outcome("broadcast-trapped", "t", 1.5, (SEEN, Beat("proof", "it is", facts={"on_nic": 0})))
GONE = NoLongerHappensError("broadcast-trapped", "it stays on the bridge", "1 on eth0")
FAILED = Outcome("broadcast-trapped", "t", 0.5, (SEEN,), GONE)


class Bare(FakeProvider):
    """A provider whose scene has nothing in it."""

    def scene(self) -> Any:
        scene = SimpleNamespace(config=Config(), patience=None, host=None, conf_dir="", leases=tuple)
        return contextlib.nullcontext(scene)


def ends_early(_stage: Stage) -> Iterator[Beat]:
    yield SEEN
    raise GONE


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


def test_what_was_seen_before_an_error_is_kept_beside_it() -> None:
    symptom = Symptom("broadcast-trapped", "t", "note", ends_early)
    outcome = attempt(symptom, Bare())
    assert (outcome.beats, outcome.error) == ((SEEN,), GONE)
    assert "no longer happens" in story.ending(outcome).plain
    with pytest.raises(NoLongerHappensError):
        perform(symptom, Bare())


def test_one_symptom_that_is_gone_takes_no_facts_of_the_others_along(
    capsys: pytest.CaptureFixture[str],
) -> None:
    played = iter([(SYMPTOMS[0], OUTCOME), (SYMPTOMS[1], FAILED)])
    with pytest.raises(typer.Exit) as ended:
        stories._tell(played, Format.JSON, explain=False)
    said = capsys.readouterr()
    first, second = json.loads(said.out)
    assert ended.value.exit_code == 3
    assert (first["happens"], first["error"], first["facts"]) == (True, None, {"on_bridge": 1, "on_nic": 0})
    assert (second["happens"], second["facts"]) == (False, {"on_bridge": 1})
    assert "no longer happens" in second["error"]["error"]
    assert "1 of 2 symptoms did not go as told" in said.err


def test_in_words_too_the_beats_before_an_error_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(stories.StoryError):
        stories._tell(iter([(SYMPTOMS[1], FAILED)]), Format.TABLE, explain=False)
    said = capsys.readouterr()
    assert SEEN.text in said.out and "no longer happens" in said.out
    assert "seen instead: 1 on eth0" in said.err


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_steps_are_for_a_person_and_not_for_a_program(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "no-lease", "--step", "-o", form]) == 2
    said = capsys.readouterr()
    assert f"--step and -o {form} exclude each other" in said.err
    assert "what to do: Leave one of them out." in said.err
