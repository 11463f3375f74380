"""Rendering: the same facts always look the same, in every width and without colour."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from envctl.apply import Outcome, Result, execute
from envctl.facts import ApiserverFacts, Facts, NodeFacts, PodFacts, ServerFacts
from envctl.show import topology
from envctl.show.progress import Lively, Plain, observer
from envctl.show.words import count, duration, left, short
from envctl.steps import up_plan
from tests.unit.envctl.fake import FakeProvider

POD = PodFacts("pod1", "master", "172.16.91.148", "02:00:00:00:00:01", "bound", 3541, 3600, "172.16.91.254")
FACTS = Facts(
    name="envctl",
    provider="lab",
    exists=True,
    cidr="172.16.91.0/24",
    host="172.16.91.1",
    gateway="172.16.91.2",
    server=ServerFacts("172.16.91.254", "dnsmasq 2.90", "172.16.91.128", "172.16.91.253", 3600, 1),
    apiserver=ApiserverFacts("apiserver-standin", "172.16.91.10", 8443, True, "ab"),
    nodes=(
        NodeFacts("master", "172.16.91.10", bridge="mybr0", address_on="mybr0", port=True, pods=(POD,)),
        NodeFacts("worker1", "172.16.91.11", bridge="mybr0", address_on="eth0"),
    ),
)


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(topology.draw(FACTS, width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_wide_terminal_shows_the_machines_side_by_side() -> None:
    assert drawn(90) == [
        "   internet",
        "       │ NAT",
        "   router   172.16.91.2  gateway, DNS",
        "       │    172.16.91.254  DHCP: dnsmasq 2.90 gives .128 – .253 for 1 h",
        "  ━━━━━┷━━┯━━━━━━━━━━━━━━━━━┯━━━━━━━━━━━━━━━━━━━━━━━━━┯━━",
        "          │                 │                         │  172.16.91.0/24",
        "          host              master                    worker1",
        "          172.16.91.1       172.16.91.10 on mybr0     172.16.91.11 on eth0",
        "          the workstation   eth0 is a port            eth0 is not in mybr0",
        "                            apiserver-standin :8443",
        "                            └─ pod1 172.16.91.148",
    ]


def test_a_narrow_terminal_shows_the_same_as_a_list() -> None:
    lines = drawn(64)
    assert "   ┠─ master" in lines
    assert "   ┃  └─ pod1 172.16.91.148" in lines


@pytest.mark.parametrize("width", range(70, 140, 7))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, drawn(width))) <= width


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "none"), (-1, "expired"), (45, "45 s"), (150, "2 min"), (3600, "1 h"), (3541, "59 min"),
     (7500, "2 h 5 min"), (200_000, "2 d 7 h"), (0xFFFFFFFF, "forever")],
)  # fmt: skip
def test_what_is_left_of_a_lease_is_said_in_words(seconds: int | None, words: str) -> None:
    assert left(seconds) == words


def test_durations_counts_and_addresses_are_short() -> None:
    assert (duration(0.4211), duration(12.34), duration(245)) == ("0.42 s", "12.3 s", "4 min 5 s")
    assert (count(0, "pod"), count(1, "pod"), count(3, "pod")) == ("no pod", "1 pod", "3 pods")
    assert (short("10.0.0.9", "10.0.0.1"), short("10.0.1.9", "10.0.0.1")) == (".9", "10.0.1.9")


def test_without_a_terminal_progress_is_plain_lines() -> None:
    console = Console(file=io.StringIO(), width=40)
    told = observer(console)
    assert isinstance(told, Plain)
    told.finished(
        2, 7, Result("lab", "make the lab", Outcome.DONE, 0.5, "switch, router, host, master, worker1")
    )
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "[2/7] lab: done in 0.50 s: switch, router, host, master, worker1\n"


def test_programs_get_events_as_json_lines() -> None:
    console = Console(file=io.StringIO(), width=40)
    told = observer(console, "json")
    execute(up_plan(FakeProvider(), None), told)
    assert isinstance(console.file, io.StringIO)
    events = [json.loads(line) for line in console.file.getvalue().splitlines()]
    assert [event["step"] for event in events if event["event"] == "finished"] == [
        "doctor", "lab", "plugin", "migrate", "pods",
    ]  # fmt: skip
    assert events[0] == {
        "event": "started", "step": "doctor", "number": 1, "total": 5, "undoing": False,
        "title": "look whether this machine has what it takes",
    }  # fmt: skip


def test_in_a_terminal_a_finished_step_is_one_line_that_fits() -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    told = observer(console)
    assert isinstance(told, Lively)
    told.finished(2, 7, Result("lab", "make the lab", Outcome.DONE, 0.5, "a very long detail " * 9))
    assert isinstance(console.file, io.StringIO)
    (line,) = console.file.getvalue().splitlines()
    assert line.startswith(" 2/7 lab      ✓ a very long") and line.endswith("0.50 s") and len(line) <= 60
