"""Tables and the summary: pods, checks, findings, and what ``up`` and ``status`` leave on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from envctl.facts import Facts, PodFacts
from envctl.show import topology
from envctl.show.words import ALREADY, DONE, FAILED, OPEN, duration, left

if TYPE_CHECKING:
    from envctl.apply import Result
    from envctl.providers.base import Finding
    from envctl.verify import Report


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    return table


def pods(listed: Sequence[PodFacts]) -> Table:
    """One line per pod."""
    table = _table("pod", "node", "address", "MAC", "lease left")
    for pod in sorted(listed, key=lambda pod: pod.name):
        remaining = left(pod.lease_left_s)
        table.add_row(
            Text(pod.name, "bold"),
            pod.node,
            Text(pod.address or "none", "green" if pod.address else "red"),
            pod.mac or "none",
            Text(remaining, "red" if remaining in ("none", "expired") else ""),
        )
    return table


def checks(report: Report) -> Group:
    """What was verified, by area; failures with their reason."""
    table = _table("", "area", "what was verified", ">time")
    area = ""
    for check in report.checks:
        mark, style = {
            "passed": (DONE, "green"),
            "failed": (FAILED, "bold red"),
            "not here": (OPEN, "dim"),
        }[check.outcome]
        title = Text(check.title, style if check.failed else "")
        if check.message:
            title.append(f"\n{check.message}", "dim")
        shown = "" if check.area == area else check.area
        area = check.area
        took = "" if check.outcome == "not here" else duration(check.seconds)
        table.add_row(Text(mark, style), Text(shown, "bold"), title, Text(took, "dim"))
    return Group(table, Text(""), Text(report.summary(), "green" if report.passed else "bold red"))


def findings(listed: Sequence[Finding]) -> Table:
    """What ``doctor`` found."""
    table = _table("", "what", "what to do")
    marks = {"ok": (DONE, "green"), "warning": ("!", "yellow"), "error": (FAILED, "bold red")}
    for finding in listed:
        mark, style = marks[finding.level]
        table.add_row(
            Text(mark, style), finding.what, Text(finding.hint, "dim" if finding.level == "ok" else "")
        )
    return table


def steps(described: Sequence[Mapping[str, str]]) -> Table:
    """A plan that was not carried out, from :meth:`envctl.plan.Step.describe`."""
    table = _table(">", "step", "what it does", "now")
    for number, step in enumerate(described, 1):
        now = Text(f"{ALREADY} {step['done']}", "cyan") if step["done"] else Text("to do", "dim")
        table.add_row(str(number), Text(step["step"], "bold"), step["title"], now)
    return table


def status(facts: Facts, width: int) -> RenderableType:
    """The environment as it is now."""
    if not facts.exists:
        return Text.assemble(f"There is no environment {facts.name}. Make it: ", ("envctl up", "bold"))
    parts: list[RenderableType] = [topology.draw(facts, width)]
    if facts.pods:
        parts += [Text(""), pods(facts.pods)]
    for node in facts.nodes:
        if node.agent and node.agent != "running":
            parts.append(Text(f"{node.name}: the agent is {node.agent}", "red"))
    return Group(*parts)


def summary(facts: Facts, results: Sequence[Result], report: Report | None, width: int, flags: str) -> Group:
    """What ``up`` leaves on the screen: what there is, what was verified, what to type next."""
    parts: list[RenderableType] = [Text(""), status(facts, width), Text("")]
    if report is not None:
        parts += [verified(report), Text("")]
    parts.append(following(facts, flags))
    return Group(*parts)


def verified(report: Report) -> Text:
    """One line per area of the suite."""
    areas: dict[str, list[bool]] = {}
    for check in report.checks:
        if check.outcome != "not here":
            areas.setdefault(check.area, []).append(check.outcome == "passed")
    text = Text.assemble(("verified  ", "dim"))
    for number, (area, outcomes) in enumerate(areas.items()):
        good = all(outcomes)
        text.append(" · " if number else "", "dim")
        text.append(f"{DONE if good else FAILED} ", "green" if good else "bold red")
        text.append(f"{area} {sum(outcomes)}/{len(outcomes)}")
    return text


def following(facts: Facts, flags: str) -> Table:
    """What to type next."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    envctl = "envctl"
    pod = facts.pods[0].name if facts.pods else "pod1"
    lines = (
        (f"status{flags}", "this picture, as it is then"),
        (f"verify{flags}", "every check, one per line"),
        (f"pod exec {pod}{flags} -- ip addr", "a command in a pod"),
        (f"exec master{flags} -- brdhcpctl leases", "a command on a node"),
        (f"rollback{flags}", "the uplink as it was before"),
        (f"down{flags}", "remove it all"),
    )
    for number, (words, meaning) in enumerate(lines):
        lead = Text("next" if not number else "", "dim")
        table.add_row(lead, Text(f"{envctl} {words}", "bold"), Text(meaning, "dim"))
    return table
