"""What happened to an environment and cannot be seen any more: how ``up`` went, what the pings of a migration saw.

Kept beside the environment's own files, for reports only; nothing decides by it. Removed with the environment.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envctl.config import Config


def folder(config: Config) -> Path:
    """Where it is kept."""
    if config.provider == "lab":
        from envctl.providers import lab_machines

        return lab_machines.directory(config.name) / "history"
    from envctl.providers.vagrant_ground import state_root

    return state_root() / config.name / "history"


def remember(config: Config, name: str, data: dict[str, Any]) -> None:
    """Keep one record, with the time of now; the last of a name counts. Does nothing where that cannot be written."""
    with contextlib.suppress(OSError):
        there = folder(config)
        there.mkdir(parents=True, exist_ok=True)
        (there / f"{name}.json").write_text(json.dumps({"at": time.time(), **data}, default=str))


def recall(config: Config) -> dict[str, dict[str, Any]]:
    """Every record by its name; what cannot be read is left out."""
    found: dict[str, dict[str, Any]] = {}
    there = folder(config)
    for path in sorted(there.glob("*.json")) if there.is_dir() else ():
        with contextlib.suppress(OSError, ValueError):
            found[path.stem] = json.loads(path.read_text())
    return found
