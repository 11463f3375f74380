"""Pictures of time: a DHCP exchange as a sequence diagram, the steps of ``up`` as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from envctl.report.exchanges import Exchange
from envctl.show.words import duration

STYLE = (
    "text{font-size:12.5px;fill:var(--ink)} .d{fill:var(--dim)} .m{font-weight:600} .good{fill:var(--good)}"
)
LEFT, RIGHT, WIDTH, HEAD, ROW = 66, 244, 310, 52, 44


def _svg(width: int, height: int, label: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label)}">'
        f"<style>{STYLE}</style>{body}</svg>"
    )


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" style="{style}"/>'


def sequence(exchange: Exchange) -> str:
    """Two lines of life, an arrow per message, and how long after the first each came."""
    height = HEAD + ROW * len(exchange.messages) + 10
    axis = "stroke:var(--line);stroke-dasharray:3 4"
    parts = [
        _text(LEFT, 20, exchange.name or "client", "m", "middle"), _text(LEFT, 36, exchange.client, "d", "middle"),
        _text(RIGHT, 20, "DHCP server", "m", "middle"), _text(RIGHT, 36, exchange.server, "d", "middle"),
        _line(LEFT, HEAD - 8, LEFT, height, axis), _line(RIGHT, HEAD - 8, RIGHT, height, axis),
    ]  # fmt: skip
    for number, message in enumerate(exchange.messages):
        y = HEAD + ROW * number + 24
        colour = "var(--bad)" if message.kind in ("DHCPNAK", "DHCPDECLINE") else "var(--lan)"
        start, end = (RIGHT, LEFT) if message.from_server else (LEFT, RIGHT)
        tip = 8 if message.from_server else -8
        parts.append(_line(start, y, end, y, f"stroke:{colour};stroke-width:2"))
        parts.append(
            f'<polygon points="{end},{y} {end + tip},{y - 4.5} {end + tip},{y + 4.5}" style="fill:{colour}"/>'
        )
        middle = (LEFT + RIGHT) / 2
        parts.append(_text(middle, y - 7, message.kind, "m", "middle"))
        parts.append(_text(middle, y + 15, f"after {message.after_ms:.1f} ms", "d", "middle"))
    return _svg(WIDTH, height, exchange.title, "".join(parts))


def timeline(steps: Sequence[Mapping[str, Any]]) -> str:
    """The steps of ``up``, each a bar from its beginning to its end."""
    total = sum(float(step["seconds"]) for step in steps) or 1.0
    name_w, bar_w, row = 80, 850, 30
    height, parts, begun = row * len(steps) + 12, [], 0.0
    for number, step in enumerate(steps):
        seconds, y = float(step["seconds"]), 6 + row * number
        x, width = name_w + bar_w * begun / total, max(bar_w * seconds / total, 3.0)
        fill = "var(--bad)" if step["outcome"] == "failed" else "var(--lan)"
        opacity = "0.45" if step["outcome"] == "already" else "1"
        parts.append(_text(0, y + 17, str(step["step"]), "m"))
        place = f'x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="18" rx="4"'
        told = f"<title>{escape(str(step['detail']))}</title>"
        parts.append(f'<rect {place} style="fill:{fill};opacity:{opacity}">{told}</rect>')
        late = x + width + 70 > name_w + bar_w + 70
        parts.append(
            _text(x - 8, y + 17, duration(seconds), "d", "end") if late
            else _text(x + width + 8, y + 17, duration(seconds), "d")
        )  # fmt: skip
        begun += seconds
    return _svg(name_w + bar_w + 70, height, "the steps of envctl up", "".join(parts))
