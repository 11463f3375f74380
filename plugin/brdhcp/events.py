"""Events: what happened to a lease, to the uplink or to the agent, in words and as fields.

An event goes to one sink: lines of text, lines of JSON, or the journal with a field per fact
(systemd.journal-fields(7), native protocol). The name of an attachment, ``network/container/interface``, is in every
event about it, so that one search shows its life.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TextIO

PRIORITY = {"error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
JOURNAL = "/run/systemd/journal/socket"

OFTEN = frozenset({"lease-renewed", "node-lease-renewed", "message-ignored"})
"""What short leases, or whoever sends on the LAN, can repeat without end: bounded in the log, never in the counts."""
LINES, WINDOW_S = 120, 60.0
"""How many of one such name are written in how many seconds: every renewal of a thousand leases of an hour."""

Fact = str | int | float | None


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``name`` is stable (``lease-acquired``); ``message`` is a sentence; ``facts`` are its fields."""

    name: str
    message: str
    level: str
    at: datetime
    facts: dict[str, Fact]


@dataclass(slots=True)
class _Window:
    """Since when events of one name are counted, and how many were written and left out."""

    began: float
    written: int = 0
    left_out: int = 0


@dataclass(slots=True)
class Events:
    """Where events go, how often each happened, and the last hundred of them."""

    form: str = "text"
    identifier: str = "brdhcpd"
    """SYSLOG_IDENTIFIER in the journal."""
    out: TextIO | None = field(default_factory=lambda: sys.stderr)
    least: str = "info"
    counts: Counter[str] = field(default_factory=Counter)
    recent: deque[Event] = field(default_factory=lambda: deque(maxlen=100))
    now: Callable[[], float] = time.monotonic
    _windows: dict[str, _Window] = field(default_factory=dict)
    _journal: socket.socket | None = None

    def __call__(self, name: str, message: str, level: str = "info", **facts: Fact) -> None:
        event = Event(name, message, level, datetime.now(UTC), facts)
        self.counts[name] += 1
        self.recent.append(event)
        if PRIORITY[level] > PRIORITY[self.least]:
            return
        if name not in OFTEN or self._has_room(event):
            self._write(event)

    def _has_room(self, event: Event) -> bool:
        """Whether one more of this name may be written; what the last window left out is told first."""
        window = self._windows.setdefault(event.name, _Window(self.now()))
        if self.now() - window.began >= WINDOW_S:
            self._windows[event.name] = _Window(self.now(), written=1)
            if window.left_out:
                words = f"{window.left_out} more {event.name} were counted and not written"
                facts: dict[str, Fact] = {"of": event.name, "number": window.left_out}
                self._write(Event("events-left-out", words, event.level, event.at, facts))
            return True
        if window.written < LINES:
            window.written += 1
            return True
        window.left_out += 1
        return False

    def _write(self, event: Event) -> None:
        if self.form == "journal" and self._to_journal(event):
            return
        if self.out is None:
            return
        line = as_json(event) if self.form == "json" else as_text(event)
        try:
            print(line, file=self.out, flush=True)
        except OSError:
            # A log that cannot be written (a full disk, a closed pipe) must never cost anyone a lease.
            self.counts["log-lost"] += 1

    def close(self) -> None:
        """Let go of the journal's socket; the next event opens it again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _to_journal(self, event: Event) -> bool:
        if self._journal is None:
            self._journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._journal.setblocking(False)
        try:
            self._journal.sendto(as_journal(event, self.identifier), JOURNAL)
        except OSError:
            return False
        return True


def as_text(event: Event) -> str:
    """``12:00:01.123 lease-acquired pod 172.16.91.131 … address=172.16.91.131 lease_s=3600``"""
    facts = " ".join(f"{key}={value}" for key, value in event.facts.items() if value is not None)
    clock = event.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    return f"{clock} {event.level:<7} {event.name}: {event.message}" + (f" [{facts}]" if facts else "")


def as_json(event: Event) -> str:
    """One line of JSON: ``at`` (RFC 3339), ``level``, ``event``, ``message`` and a key per fact."""
    body = {"at": event.at.isoformat(), "level": event.level, "event": event.name, "message": event.message}
    return json.dumps({**body, **event.facts})


def as_journal(event: Event, identifier: str = "brdhcpd") -> bytes:
    """The journal's native datagram: ``KEY=value`` lines, a length-prefixed form for values of several lines."""
    fields: dict[str, Fact] = {
        "MESSAGE": event.message,
        "PRIORITY": PRIORITY[event.level],
        "SYSLOG_IDENTIFIER": identifier,
        "BRDHCP_EVENT": event.name,
        **{f"BRDHCP_{key.upper()}": value for key, value in event.facts.items() if value is not None},
    }
    parts = []
    for key, value in fields.items():
        data = str(value).encode()
        if b"\n" in data:
            parts.append(key.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(f"{key}=".encode() + data + b"\n")
    return b"".join(parts)


def choose_form(asked: str) -> str:
    """``auto`` is the journal under systemd (``JOURNAL_STREAM`` is set there), else text."""
    if asked != "auto":
        return asked
    return "journal" if os.environ.get("JOURNAL_STREAM") else "text"
