"""The LAN as a drawing: a bus with the machines under it and the pods under their nodes.

Drawn side by side when the terminal is wide enough, as a list otherwise. Input is
:class:`envctl.facts.Facts` alone, so the same drawing shows what was just made and what is there now.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from envctl.facts import Facts, NodeFacts
from envctl.show.words import left, short

GAP = 3
INDENT = 2
STEM = INDENT + 5
FIRST = STEM + 3

Line = Text
Column = list[Text]


def draw(facts: Facts, width: int) -> Text:
    """The drawing, one rich Text of several lines, at most ``width`` cells wide if that can be done."""
    columns = [_host(facts), *(_node(facts, node) for node in facts.nodes)]
    widths = [max(line.cell_len for line in column) + GAP for column in columns]
    side_by_side = FIRST + sum(widths) - GAP <= width
    body = _bus(facts, columns, widths) if side_by_side else _list(facts, columns)
    return Text("\n").join([*_head(facts), *body])


def _head(facts: Facts) -> list[Line]:
    server = facts.server
    given = f"{short(server.first, server.address)} – {short(server.last, server.address)}"
    pad = " " * (STEM - 4)
    return [
        Text.assemble(pad, ("internet", "dim")),
        Text.assemble(" " * STEM, ("│ NAT", "dim")),
        Text.assemble(pad, ("router", "bold"), f"   {facts.gateway}", ("  gateway, DNS", "dim")),
        Text.assemble(
            " " * STEM, ("│", "dim"), f"    {server.address}",
            (f"  DHCP: {server.software} gives {given} for {left(server.lease_s)}", "dim"),
        ),
    ]  # fmt: skip


def _bus(facts: Facts, columns: Sequence[Column], widths: Sequence[int]) -> list[Line]:
    bus, drop = " " * INDENT + "━" * (STEM - INDENT) + "┷━━", " " * FIRST
    for width in (*widths[:-1], 1):
        bus += "┯" + "━" * (width - 1)
        drop += "│" + " " * (width - 1)
    lines = [Text(bus + "━━", "bold blue"), Text.assemble((drop, "blue"), (f"  {facts.cidr}", "dim"))]
    for row in range(max(len(column) for column in columns)):
        line = Text(" " * FIRST)
        for column, width in zip(columns, widths, strict=True):
            cell = column[row].copy() if row < len(column) else Text()
            cell.pad_right(width - cell.cell_len)
            line.append_text(cell)
        line.rstrip()
        lines.append(line)
    return lines


def _list(facts: Facts, columns: Sequence[Column]) -> list[Line]:
    lines = [
        Text.assemble(" " * INDENT, ("━" * (STEM - INDENT) + "┷" + "━" * 8, "bold blue"), f" {facts.cidr}")
    ]
    for column in columns:
        for number, text in enumerate(column):
            lead = Text.assemble(" " * INDENT, (" ┠─ " if number == 0 else " ┃  ", "blue"))
            lines.append(lead.append_text(text))
    return lines


def _host(facts: Facts) -> Column:
    return [Text("host", "bold"), Text(facts.host), Text("the workstation", "dim")]


def _node(facts: Facts, node: NodeFacts) -> Column:
    lines = [Text(node.name, "bold" if node.up else "bold red")]
    if not node.up:
        return [*lines, Text(f"{node.address} is away", "red")]
    where = node.address_on or "nowhere"
    lines.append(Text.assemble(node.address, (f" on {where}", "green" if node.port else "yellow")))
    state = (
        f"{node.interface} is a port"
        if node.port
        else f"{node.interface} is not in {node.bridge or 'a bridge'}"
    )
    waiting = node.migration == "waiting"
    state += ", to be confirmed" if waiting else ""
    lines.append(Text(state, "dim" if node.port and not waiting else "yellow"))
    server = facts.apiserver
    if server is not None and server.address == node.address:
        silent = "" if server.answers else " is silent"
        lines.append(Text(f"{server.name} :{server.port}{silent}", "red" if silent else "dim"))
    for number, pod in enumerate(node.pods):
        arm = "└─ " if number == len(node.pods) - 1 else "├─ "
        address = (pod.address, "green") if pod.address else ("no address", "red")
        lines.append(Text.assemble((arm, "blue"), (pod.name, "bold"), " ", address))
    return lines
