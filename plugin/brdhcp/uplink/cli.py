"""``brdhcpctl uplink``: plan, migrate, confirm, rollback, status, and what the boot guard runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from brdhcp.errors import CniError
from brdhcp.netlink.kernel import Kernel
from brdhcp.store.paths import STATE_DIR
from brdhcp.uplink import run, state
from brdhcp.uplink.persist import CHOICES
from brdhcp.uplink.plan import Plan
from brdhcp.uplink.state import Migration
from brdhcp.uplink.steps import command

CONFIRM_S = 60.0
VERBS = {
    "plan": "say what would be done and how it would be undone; changes nothing",
    "migrate": "move the NIC's addresses and routes to the bridge; a guard goes back unless you confirm",
    "confirm": "the node is reached over the new path: keep it, also over reboots where that is supported",
    "rollback": "bring back exactly what was, at any time",
    "status": "how far a migration is, and how long the guard still waits",
    "boot-guard": "for the unit of that name: end what a reboot cut off",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str) -> None:
    """Adds ``uplink`` and its verbs; sets ``run``."""
    uplink = commands.add_parser(name, help=words, description=words)
    verbs = uplink.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, said in VERBS.items():
        parser = verbs.add_parser(verb, help=said, description=said)
        parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
        parser.add_argument(
            "--state-dir", type=Path, default=STATE_DIR, help="where the journal is (%(default)s)"
        )
        if verb in ("plan", "migrate"):
            parser.add_argument(
                "--nic", "--uplink", help="the NIC (default: the interface of the default route)"
            )
            parser.add_argument(
                "--bridge", default="mybr0", help="the bridge (%(default)s); made when it is missing"
            )
            parser.add_argument(
                "--persist", choices=CHOICES, default="auto", help="who keeps it over a reboot (%(default)s)"
            )
        if verb == "migrate":
            parser.add_argument(
                "--confirm-within", type=_seconds, default=CONFIRM_S, metavar="SECONDS",
                help="how long the guard waits for confirm (%(default)g)",
            )  # fmt: skip
        parser.set_defaults(run=_run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 86400 seconds")
    return value


def _run(options: argparse.Namespace) -> int:
    try:
        body, text = _ask(options)
    except CniError as error:
        if options.output != "json":
            raise
        print(json.dumps(error.as_json("1.1.0")))
        return 4 if error.code == 110 else 1
    print(json.dumps(body) if options.output == "json" else text)
    return 0


def _ask(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    match options.verb:
        case "plan":
            with Kernel() as kernel:
                _, plan, keeper = run.prepare(
                    kernel, options.nic, options.bridge, options.persist, options.state_dir
                )
            return _plan_json(plan, keeper.name), _plan_text(plan, keeper.name)
        case "migrate":
            done = run.migrate(
                options.nic, options.bridge, options.confirm_within, options.persist, options.state_dir
            )
        case "confirm":
            done = run.confirm(options.state_dir)
        case "rollback":
            done = run.rollback(options.state_dir)
        case "boot-guard":
            said = run.after_boot(options.state_dir)
            return {"said": said}, said
        case _:
            found = state.load(options.state_dir)
            if found is None:
                return {"state": "none"}, "no uplink was migrated here: brdhcpctl uplink plan"
            done = found
    return _status_json(done), _status_text(done)


def _plan_json(plan: Plan, keeper: str) -> dict[str, Any]:
    steps = [
        {"title": move.title, "do": list(map(command, move.do)), "undo": list(map(command, move.undo))}
        for move in plan.moves
    ]
    return {
        "nic": plan.nic,
        "bridge": plan.bridge,
        "steps": steps,
        "warnings": list(plan.warnings),
        "persist": keeper,
    }


def _plan_text(plan: Plan, keeper: str) -> str:
    lines = [f"Move {plan.nic} into {plan.bridge}:", ""]
    for number, move in enumerate(plan.moves, 1):
        lines.append(f"{number:2}. {move.title}")
        lines += [f"      {command(action)}" for action in move.do]
        lines += [f"    ↩ {command(action)}" for action in move.undo]
    lines += ["", *(f"note: {warning}" for warning in plan.warnings)]
    lines.append(
        f"After a reboot: kept by {keeper}, once it is confirmed." if keeper != "none"
        else "After a reboot: as before the migration (no network configuration of a known kind names this NIC)."
    )  # fmt: skip
    lines.append("Nothing was changed. To do it: brdhcpctl uplink migrate")
    return "\n".join(lines)


def _status_json(migration: Migration) -> dict[str, Any]:
    left = migration.seconds_left
    return {
        "state": migration.state if migration.of_this_boot or migration.files else "none",
        "nic": migration.nic,
        "bridge": migration.bridge,
        "steps": len(migration.moves),
        "begun": migration.begun,
        "secondsLeft": None if left is None else round(left, 1),
        "thisBoot": migration.of_this_boot,
        "persisted": [path for path, _ in migration.files],
        "problems": list(migration.problems),
    }


def _status_text(migration: Migration) -> str:
    body = _status_json(migration)
    where = f"{migration.nic} into {migration.bridge}"
    match body["state"]:
        case "waiting":
            return (
                f"{where}: done, not confirmed. Unless `brdhcpctl uplink confirm` comes within "
                f"{body['secondsLeft']:g} s, the guard brings back what was."
            )
        case "confirmed":
            kept = f"kept in {', '.join(body['persisted'])}" if body["persisted"] else "until the next reboot"
            return f"{where}: confirmed, {kept}. To go back: brdhcpctl uplink rollback"
        case "rolled-back":
            return f"{where}: rolled back, everything is as it was."
        case "incomplete":
            return "\n".join([f"{where}: the rollback is incomplete. Still to be done:", *body["problems"]])
        case "none":
            return "no uplink is migrated: a reboot ended the last migration"
        case other:
            at = f"step {migration.begun} of {len(migration.moves)}"
            return f"{where}: {other}, {at}. To go back: brdhcpctl uplink rollback"
