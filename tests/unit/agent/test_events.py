"""Events in their three forms."""

from __future__ import annotations

import io
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

from brdhcp.agent.events import Event, Events, as_journal, as_json, as_text

EVENT = Event("lease-lost", "the lease of web/eth0 expired", "warning", datetime(2026, 1, 2, tzinfo=UTC),
              {"attachment": "web/eth0", "lease_s": 120, "server": None})  # fmt: skip


def test_a_line_of_text_says_what_happened_and_leaves_out_what_is_not_known() -> None:
    assert as_text(EVENT).endswith(
        "warning lease-lost: the lease of web/eth0 expired [attachment=web/eth0 lease_s=120]"
    )


def test_a_line_of_json_has_a_key_for_every_fact() -> None:
    assert json.loads(as_json(EVENT)) == {
        "at": "2026-01-02T00:00:00+00:00", "level": "warning", "event": "lease-lost",
        "message": "the lease of web/eth0 expired", "attachment": "web/eth0", "lease_s": 120, "server": None,
    }  # fmt: skip


def test_the_journal_gets_a_field_for_every_fact_and_lines_in_its_binary_form() -> None:
    several_lines = Event("note", "one\ntwo", "info", EVENT.at, {"lease_s": 120})
    data = as_journal(several_lines)
    assert data.startswith(b"MESSAGE\n" + struct.pack("<Q", 7) + b"one\ntwo\n")
    assert b"\nBRDHCP_LEASE_S=120\n" in data
    assert b"\nPRIORITY=6\n" in data


def test_quiet_events_are_counted_and_remembered_but_not_printed() -> None:
    out = io.StringIO()
    events = Events(out=out, least="warning")
    events("lease-renewed", "renewed")
    assert out.getvalue() == ""
    assert events.counts["lease-renewed"] == 1
    assert events.recent[-1].name == "lease-renewed"


def test_a_log_that_cannot_be_written_costs_nobody_a_lease() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full, io.TextIOWrapper(full, write_through=True) as out:
        events = Events(out=out)
        events("lease-acquired", "acquired")
    assert events.counts["log-lost"] == 1
