"""What was gathered, as one HTML page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from envctl.report.before import before
from envctl.report.diagrams import sequence, timeline
from envctl.report.gather import Gathered
from envctl.report.svg import lan
from envctl.show.words import duration, left

TEMPLATE = Path(__file__).with_name("page.html.j2")
EXCHANGES = 24


def render(gathered: Gathered) -> str:
    """The whole page; nothing in it is fetched from anywhere."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["duration"] = duration
    environment.filters["left"] = left
    facts = gathered.facts
    migrations = [data for name, data in gathered.history.items() if name.startswith("migration-")]
    shown = gathered.exchanges[:EXCHANGES]
    return environment.from_string(TEMPLATE.read_text()).render(
        facts=facts,
        made_at=datetime.fromtimestamp(gathered.made_at).astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
        picture_before=lan(before(facts), "before the uplink migration"),
        picture_after=lan(facts, "as it is now"),
        migrated=all(node.port for node in facts.nodes),
        up=gathered.history.get("up"),
        timeline=timeline(gathered.history["up"]["steps"]) if "up" in gathered.history else "",
        migrations=migrations,
        diagrams=[(exchange, sequence(exchange)) for exchange in shown],
        captured=gathered.captured,
        more=len(gathered.exchanges) - len(shown),
        verification=gathered.verification,
        versions=gathered.versions,
        configuration=gathered.configuration,
        logs=gathered.logs,
    )
