"""The uplink migration as the workstation sees it: ask the node, look from the LAN, confirm over the new
path.

``brdhcpctl uplink`` does the work on the node and its guard undoes it when no confirmation comes. What is
added here is the view from outside: a migration is confirmed only after the workstation reached the node
again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from envctl.config import Config
    from envctl.node import Completed, Node
    from envctl.probe import Watch


class MigrationError(EnvctlError):
    """The uplink is as it was before, by the node's own account or by its guard."""


def status(node: Node) -> dict[str, Any]:
    """``brdhcpctl uplink status``: at least ``state``."""
    answer = node.run("brdhcpctl uplink status -o json").json()
    if not isinstance(answer, dict):
        raise MigrationError(f"{node.name} does not say how its uplink is", cause=str(answer))
    return answer


def is_port(node: Node, config: Config) -> bool:
    """Whether the NIC is a port of the bridge, by the node's kernel."""
    port = f"/sys/class/net/{config.bridge}/brif/{config.uplink.interface}"
    return node.run("test -e %s", port, check=False).exit_status == 0


def migrate(node: Node, host: Node, config: Config, *, remember: bool = True) -> dict[str, Any]:
    """Migrate one node and confirm from the LAN; answers what the node said of the migration.

    ``remember`` keeps what pings saw of it, for reports.

    Raises MigrationError when the node refuses, or is not reached afterwards; its guard restores the uplink
    then.
    """
    with _watched(node, host) as watch:
        done = node.run(
            "brdhcpctl uplink migrate --nic %s --bridge %s --confirm-within %s -o json",
            config.uplink.interface, config.bridge, config.uplink.confirm_s, check=False, timeout=60,
        )  # fmt: skip
    if done.exit_status:
        raise MigrationError(f"{node.name}: the uplink was not migrated", cause=_said(done))
    if not reaches(host, node.address):
        raise MigrationError(
            f"{node.name} does not answer at {node.address} after the migration",
            cause="It was not confirmed.",
            hint=f"Its guard brings back the uplink within {config.uplink.confirm_s} s.",
        )
    confirmed = node.run("brdhcpctl uplink confirm -o json", check=False)
    if confirmed.exit_status:
        raise MigrationError(f"{node.name}: the migration could not be confirmed", cause=_said(confirmed))
    if watch is not None and remember:
        from envctl import history

        history.remember(config, f"migration-{node.name}", {"node": node.name, **dataclasses.asdict(watch)})
    return dict(done.json())


@contextlib.contextmanager
def _watched(node: Node, host: Node) -> Iterator[Watch | None]:
    """Ping the node meanwhile, where the workstation is a namespace of this machine; None elsewhere."""
    from envctl.node import NamespaceNode
    from envctl.probe import watching

    if not isinstance(host, NamespaceNode) or not reaches(host, node.address):
        yield None
        return
    with watching(host, node.address) as watch:
        yield watch


def rollback(node: Node) -> dict[str, Any]:
    """Bring back what was before the migration."""
    done = node.run("brdhcpctl uplink rollback -o json", check=False, timeout=60)
    if done.exit_status:
        raise MigrationError(f"{node.name}: the uplink was not brought back", cause=_said(done))
    return dict(done.json())


def reaches(host: Node, address: str) -> bool:
    """Whether the workstation gets an answer from the address within 3 s; one that is there answers at
    once.
    """
    return host.run("ping -n -q -c 1 -i 0.2 -w 3 %s", address, check=False).exit_status == 0


def _said(done: Completed) -> str:
    """The node's own words: the message of a CNI error object, or its output as it is."""
    for text in (done.stdout, done.stderr):
        try:
            body = json.loads(text)
        except ValueError:
            continue
        if isinstance(body, dict) and "msg" in body:
            return ": ".join(str(body[key]) for key in ("msg", "details") if body.get(key))
    return (done.stderr + done.stdout).strip()
