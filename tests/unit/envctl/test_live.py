"""``status --watch``: what has changed, in words, and a line of JSON per change."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator

from rich.console import Console
from ruamel.yaml import YAML

from envctl.cli.lifecycle import _line
from envctl.cli.output import Format
from envctl.facts import Facts
from envctl.report.before import before, example
from envctl.show import live, topology

AFTER = example()


def looks(*facts: Facts) -> Iterator[Facts]:
    yield from facts


def without(facts: Facts, pod: str) -> Facts:
    (node,) = facts.nodes
    rest = tuple(one for one in node.pods if one.name != pod)
    return dataclasses.replace(facts, nodes=(dataclasses.replace(node, pods=rest),))


def test_a_migration_and_leases_are_told_in_words() -> None:
    assert live.changes(before(AFTER), AFTER) == [
        "master: 172.16.91.10 moved from eth0 to mybr0",
        "pod1: no address → 172.16.91.131",
        "pod2: no address → 172.16.91.132",
    ]


def test_a_migration_that_waits_for_its_confirmation_is_drawn_so() -> None:
    (node,) = AFTER.nodes
    waiting = dataclasses.replace(AFTER, nodes=(dataclasses.replace(node, migration="waiting"),))
    assert "eth0 is a port, to be confirmed" in topology.draw(waiting, 110).plain
    assert "to be confirmed" not in topology.draw(AFTER, 110).plain


def test_pods_come_and_go() -> None:
    less = without(AFTER, "pod2")
    assert live.changes(AFTER, less) == ["pod2 has gone"]
    assert live.changes(less, AFTER) == ["pod2 has come: 172.16.91.132"]
    assert live.changes(AFTER, AFTER) == []


def test_the_page_has_the_drawing_and_the_changes() -> None:
    console = Console(file=io.StringIO(), width=110)
    console.print(live.page(AFTER, before(AFTER), 110))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "172.16.91.10 on mybr0" in text and "moved from eth0 to mybr0" in text


def test_as_json_a_lease_that_only_grows_older_is_no_change() -> None:
    (node,) = AFTER.nodes
    older = tuple(dataclasses.replace(pod, lease_left_s=17) for pod in node.pods)
    aged = dataclasses.replace(AFTER, nodes=(dataclasses.replace(node, pods=older),))
    assert live.timeless(aged) == live.timeless(AFTER)
    assert [json.loads(line)["name"] for line in watched(Format.JSON).splitlines()] == ["example"]


def watched(form: Format) -> str:
    """What one look writes."""
    seen, file = looks(AFTER), io.StringIO()
    live.watch(lambda: next(seen), Console(file=file, width=110), _line(form), looks=1)
    return file.getvalue()


def test_as_yaml_each_change_is_a_document() -> None:
    assert watched(Format.YAML).startswith("---\n")
    documents = YAML(typ="safe", pure=True).load_all(2 * watched(Format.YAML))
    assert [document["name"] for document in documents] == ["example", "example"]
