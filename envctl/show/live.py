"""``status --watch``: the drawing, live: looks again every second, and says in words what has changed."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from envctl.facts import Facts, PodFacts, as_data
from envctl.show import tables

if TYPE_CHECKING:
    from envctl.facts import NodeFacts

LOOK_S = 1.0


def watch(
    look: Callable[[], Facts],
    console: Console,
    written: Callable[[dict[str, Any]], str] | None = None,
    looks: int | None = None,
) -> None:
    """Show what ``look`` answers until Ctrl-C, or ``looks`` times. ``written`` puts it in words for a program: then
    each change is told by itself.
    """
    with contextlib.suppress(KeyboardInterrupt):
        if written:
            _changes(look, console, written, looks)
        else:
            _screen(look, console, looks)


def _screen(look: Callable[[], Facts], console: Console, looks: int | None) -> None:
    from rich.live import Live

    before: Facts | None = None
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while looks is None or looks > 0:
            begun = time.monotonic()
            facts = look()
            live.update(page(facts, before, console.width), refresh=True)
            before = facts
            looks = None if looks is None else looks - 1
            if looks != 0:
                _until(begun + LOOK_S)


def _changes(
    look: Callable[[], Facts], console: Console, written: Callable[[dict[str, Any]], str], looks: int | None
) -> None:
    before: Facts | None = None
    while looks is None or looks > 0:
        begun = time.monotonic()
        facts = look()
        if before is None or timeless(facts) != timeless(before):
            console.file.write(written(as_data(facts)))
            console.file.flush()
        before = facts
        looks = None if looks is None else looks - 1
        if looks != 0:
            _until(begun + LOOK_S)


def _until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0.05))


def page(facts: Facts, before: Facts | None, width: int) -> RenderableType:
    """The drawing, with the time and what has changed since the look before."""
    now = datetime.now().strftime("%H:%M:%S")
    head = Text.assemble((facts.name, "bold"), ("  every second; Ctrl-C ends  ", "dim"), (now, "dim"))
    parts: list[RenderableType] = [head, Text(""), tables.status(facts, width)]
    if before is not None:
        parts += [Text(line, "yellow") for line in changes(before, facts)]
    return Group(*parts)


def changes(before: Facts, now: Facts) -> list[str]:
    """What is different, in words."""
    old, new = ({pod.name: pod for pod in facts.pods} for facts in (before, now))
    told = [f"{name} has come: {new[name].address or 'no address'}" for name in new.keys() - old.keys()]
    told += [f"{name} has gone" for name in old.keys() - new.keys()]
    told += [
        f"{name}: {old[name].address or 'no address'} → {new[name].address or 'no address'}"
        for name in new.keys() & old.keys()
        if new[name].address != old[name].address
    ]
    places = {node.name: node for node in before.nodes}
    told += [line for node in now.nodes if node.name in places for line in _moved(places[node.name], node)]
    return sorted(told)


def _moved(before: NodeFacts, now: NodeFacts) -> list[str]:
    told = []
    if before.address_on != now.address_on:
        told.append(
            f"{now.name}: {now.address} moved from {before.address_on or 'nowhere'} to {now.address_on or 'nowhere'}"
        )
    if before.agent != now.agent:
        told.append(f"{now.name}: the agent is {now.agent}")
    return told


def timeless(facts: Facts) -> Facts:
    """The facts without what changes by itself as time goes by."""

    def still(pod: PodFacts) -> PodFacts:
        return dataclasses.replace(pod, lease_left_s=None)

    nodes = tuple(dataclasses.replace(node, pods=tuple(map(still, node.pods))) for node in facts.nodes)
    return dataclasses.replace(facts, nodes=nodes)
