"""The LAN as a picture: who is plugged into what, before the uplink migration and after it.

SVG with its own colours for light and dark, so that it stands in a page, alone, and on paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from envctl.facts import Facts, NodeFacts, PodFacts

STYLE = """
svg{--ink:#1f2430;--dim:#667085;--line:#98a2b3;--box:#ffffff;--edge:#d0d5dd;--lan:#3b5bdb;--good:#087f5b;--bad:#c92a2a;
--goodbox:#e6fcf5;--badbox:#fff5f5;--pod:#f1f3f9;font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
@media (prefers-color-scheme:dark){svg{--ink:#e6e9f0;--dim:#98a2b3;--line:#667085;--box:#1d222d;--edge:#3b4252;
--lan:#7c9aff;--good:#4cd6a4;--bad:#ff8787;--goodbox:#12322a;--badbox:#3a1d1f;--pod:#262c39}}
text{font-size:13px;fill:var(--ink)} .d{fill:var(--dim);font-size:11.5px} .b{font-weight:600}
.good{fill:var(--good)} .bad{fill:var(--bad)} .lan{stroke:var(--lan);stroke-width:5;stroke-linecap:round}
.w{stroke:var(--line);stroke-width:2;fill:none} .cut{stroke:var(--bad);stroke-width:2;stroke-dasharray:3 5;fill:none}
.box{fill:var(--box);stroke:var(--edge)} .in{fill:var(--pod);stroke:var(--edge)}
.ok{fill:var(--goodbox);stroke:var(--good)} .no{fill:var(--badbox);stroke:var(--bad)}
"""
MARGIN, BUS, TOP, NODE, SIDE, GAP = 20, 40, 74, 250, 150, 22
INNER, ROW = 46, 38


def lan(facts: Facts, title: str) -> str:
    """A whole environment as one ``<svg>``; ``title`` is for those who cannot see it."""
    width = MARGIN * 2 + 2 * SIDE + GAP + sum(NODE + GAP for _ in facts.nodes)
    tallest = max((_height(node) for node in facts.nodes), default=80)
    height = TOP + tallest + MARGIN
    parts = [*_router(facts), *_host(facts)]
    left = MARGIN + 2 * SIDE + 2 * GAP
    for node in facts.nodes:
        parts += _node(node, left, facts)
        left += NODE + GAP
    parts += _bus(facts, width)
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title><style>{STYLE}</style>{body}</svg>'
    )


def _height(node: NodeFacts) -> int:
    return 158 + ROW * max(len(node.pods), 1)


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def _box(x: float, y: float, width: float, height: float, kind: str = "box") -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="9" class="{kind}"/>'


def _wire(points: Sequence[tuple[float, float]], kind: str = "w") -> str:
    return f'<polyline class="{kind}" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'


def _bus(facts: Facts, width: int) -> Iterator[str]:
    yield f'<line x1="{MARGIN}" y1="{BUS}" x2="{width - MARGIN}" y2="{BUS}" class="lan"/>'
    yield _text(width - MARGIN, BUS - 12, f"LAN {facts.cidr}", "b", "end")


def _router(facts: Facts) -> Iterator[str]:
    x = MARGIN
    yield _wire([(x + SIDE / 2, BUS), (x + SIDE / 2, TOP)])
    yield _wire([(x + SIDE / 2, TOP + 96), (x + SIDE / 2, TOP + 134)])
    yield _text(x + SIDE / 2 + 8, TOP + 119, "NAT", "d")
    yield _box(x, TOP + 134, SIDE, 34, "in") + _text(x + SIDE / 2, TOP + 156, "internet", "d", "middle")
    yield _box(x, TOP, SIDE, 96)
    yield _text(x + 14, TOP + 24, "router", "b") + _text(x + 14, TOP + 44, facts.gateway)
    yield _text(x + 14, TOP + 64, "gateway, DNS", "d")
    yield _text(x + 14, TOP + 82, f"DHCP {facts.server.address}", "d")


def _host(facts: Facts) -> Iterator[str]:
    x = MARGIN + SIDE + GAP
    yield _wire([(x + SIDE / 2, BUS), (x + SIDE / 2, TOP)])
    yield _box(x, TOP, SIDE, 78)
    yield _text(x + 14, TOP + 24, "host", "b") + _text(x + 14, TOP + 44, facts.host)
    yield _text(x + 14, TOP + 64, "the workstation", "d")


def _node(node: NodeFacts, x: int, facts: Facts) -> Iterator[str]:
    middle, inner = x + NODE / 2, NODE - 36
    yield _wire([(middle, BUS), (middle, TOP + 40)])
    yield _box(x, TOP, NODE, _height(node))
    api = facts.apiserver
    serves = f" · {api.name} :{api.port}" if api is not None and api.address == node.address else ""
    yield _text(x + 18, TOP + 26, node.name, "b")
    yield _text(x + NODE - 18, TOP + 26, serves.removeprefix(" · "), "d", "end")
    yield from _link(
        node.interface, x + 18, TOP + 40, inner, node, "port of " + node.bridge if node.port else ""
    )
    bridge_y = TOP + 40 + INNER + 22
    yield _wire([(middle, TOP + 40 + 34), (middle, bridge_y)], "w" if node.port else "cut")
    if not node.port:
        yield _text(middle + 8, bridge_y - 8, "not connected", "d bad")
    yield from _link(node.bridge, x + 18, bridge_y, inner, node, "" if node.port else "nothing behind it")
    pods = node.pods or (PodFacts("no pod", node.name, state="none"),)
    for number, pod in enumerate(pods):
        yield from _pod(pod, x + 52, bridge_y + 46 + number * ROW, inner - 34, x + 34, bridge_y + 34)


def _link(name: str, x: float, y: float, width: float, node: NodeFacts, otherwise: str) -> Iterator[str]:
    has = node.address_on == name
    yield _box(x, y, width, 34, ("ok" if node.port else "no") if has else "in")
    yield _text(x + 12, y + 22, name, "b")
    yield _text(x + width - 12, y + 22, node.address if has else otherwise, "" if has else "d", "end")


def _pod(pod: PodFacts, x: float, y: float, width: float, stem: float, top: float) -> Iterator[str]:
    if pod.state == "none":
        yield _text(x - 18, y + 20, "no pods", "d")
        return
    yield _wire([(stem, top), (stem, y + 15), (x, y + 15)])
    yield _box(x, y, width, 30, "in")
    yield _text(x + 10, y + 20, pod.name, "b")
    words, kind = (pod.address, "good") if pod.address else ("no address", "bad")
    yield _text(x + width - 10, y + 20, words, kind, "end")
