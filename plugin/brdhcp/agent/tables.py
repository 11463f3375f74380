"""What ``brdhcpctl leases``, ``check``, ``gc`` and ``renew`` print.

``leases`` and ``check`` read the store as it is on disk, whether an agent runs or not; the others ask the agent.

Each imports what it needs itself: listing leases every second must not pay for netlink.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brdhcp.errors import CniError, TryAgainLater
from brdhcp.store import leases
from brdhcp.store.leases import Attachment
from brdhcp.store.paths import SOCKET, STATE_DIR


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str) -> None:
    """Adds ``leases``, ``check``, ``gc`` or ``renew`` to ``brdhcpctl``; sets ``run``."""
    parser = commands.add_parser(name, help=words, description=words)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--state-dir", type=Path, default=STATE_DIR, help="the agent's (%(default)s)")
    if name == "leases":
        parser.add_argument("--watch", action="store_true", help="go on, a new table every second")
    if name in ("gc", "renew"):
        parser.add_argument("--socket", type=Path, default=SOCKET, help="the agent's (%(default)s)")
    parser.set_defaults(run={"leases": _leases, "check": _check, "gc": _gc, "renew": _renew}[name])


def row(record: Attachment, now: float) -> dict[str, Any]:
    """One attachment as a JSON object; ``secondsLeft`` is None for a lease without end, or without a lease."""
    lease = record.lease or {}
    expires = lease.get("expires")
    lost = record.extra.get("lost")
    return {
        "pod": record.pod or None,
        "container": record.container_id,
        "interface": record.if_name,
        "network": record.network,
        "address": lease.get("address"),
        "mac": record.mac or None,
        "bridge": record.bridge or None,
        "state": "lost" if lost else record.state,
        "why": lost,
        "server": lease.get("server"),
        "leaseSeconds": lease.get("leaseSeconds"),
        "secondsLeft": None if expires is None else round(expires - now),
        "netns": record.netns or None,
    }


def _leases(options: argparse.Namespace) -> int:
    while True:
        rows = [row(record, time.time()) for record in leases.read(options.state_dir)]
        if options.watch and options.output == "table":
            print("\x1b[H\x1b[J", end="")
        _print(options, rows, ("pod", "interface", "address", "mac", "state", "left", "server", "bridge"))
        if not options.watch:
            return 0
        time.sleep(1)


def _check(options: argparse.Namespace) -> int:
    from brdhcp.agent.check import look
    from brdhcp.agent.guards import Rules
    from brdhcp.netlink.kernel import Kernel

    rules = Rules()
    with Kernel() as node:
        findings = [look(node, record, rules) for record in leases.read(options.state_dir)]
    rows = [
        {**row(finding.attachment, time.time()), "ok": not finding.faults, "faults": list(finding.faults)}
        for finding in findings
    ]
    _print(options, rows, ("pod", "interface", "address", "ok", "faults"))
    return 0 if all(each["ok"] for each in rows) else 3


def _gc(options: argparse.Namespace) -> int:
    done = _ask(options, "RECONCILE")
    words = ", ".join(f"{count} {what}" for what, count in sorted(done.items()))
    _say(options, done, words or "nothing to give back: every attachment is alive")
    return 0


def _renew(options: argparse.Namespace) -> int:
    done = _ask(options, "RENEW")
    _say(
        options,
        done,
        f"the server is asked for {done['asked']} leases; brdhcpctl leases shows what it grants",
    )
    return 0


def _ask(options: argparse.Namespace, command: str) -> dict[str, Any]:
    from brdhcp.agent import wire

    try:
        status, answer = wire.ask(str(options.socket), {"BRDHCP_COMMAND": command})
    except OSError as error:
        raise TryAgainLater(
            f"the agent cannot be asked at {options.socket}: {error.strerror}", "systemctl start brdhcpd"
        ) from error
    body: dict[str, Any] = json.loads(answer)
    if status:
        raise CniError(body["msg"], body.get("details", ""))
    return body


def _say(options: argparse.Namespace, body: dict[str, Any], words: str) -> None:
    print(json.dumps(body) if options.output == "json" else words)


def _print(options: argparse.Namespace, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    if options.output == "json":
        print(json.dumps(rows, indent=2 if sys.stdout.isatty() else None), flush=True)
        return
    if not rows:
        print("no attachments")
        return
    lines = [
        [column.upper() for column in columns],
        *([_cell(each, column) for column in columns] for each in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    sys.stdout.flush()


def _cell(each: dict[str, Any], column: str) -> str:
    if column == "left":
        return _duration(each["secondsLeft"]) if each["leaseSeconds"] else "-"
    if column == "pod":
        return str(each["pod"] or each["container"][:13])
    value = each[column]
    if isinstance(value, bool):
        return "ok" if value else "FAULTY"
    if isinstance(value, list):
        return "; ".join(value) or "-"
    return "-" if value is None else str(value)


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "for ever"
    if seconds <= 0:
        return "expired"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
