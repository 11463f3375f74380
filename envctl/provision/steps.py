"""The steps that turn a booted guest into a node with a cluster and the plugin.

What a step does is a script of ``provision/steps``, which plain ``vagrant up`` runs too; here it is sent to the
guest and run one at a time, so that each can be timed, asked and repeated.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envctl.errors import EnvctlError
from envctl.node import Node, NodeError

ROOT = Path(__file__).parents[2]
PROVISION = ROOT / "provision"
WHEELS = ROOT / "build/wheels"
BUNDLE = ROOT / "build/bundle"
HOME = "/usr/local/lib/envctl"
UPLOADED = "/tmp/envctl"
STEP_TIMEOUT_S = 1500.0


@lru_cache
def lock() -> dict[str, Any]:
    """``provision/lock.json``: versions, addresses and checksums of everything a guest is made of."""
    data = json.loads((PROVISION / "lock.json").read_text())
    assert isinstance(data, dict)
    return data


def build_wheels() -> str:
    """The plugin and what it needs as wheels under ``build/wheels``; the stamp of their contents."""
    done = subprocess.run([PROVISION / "wheels.sh"], capture_output=True, text=True)
    if done.returncode:
        raise EnvctlError("the plugin could not be packed as a wheel", cause=done.stderr.strip())
    return (WHEELS / "stamp").read_text().strip()


@dataclass(frozen=True)
class GuestStep:
    """One script of ``provision/steps`` on a guest."""

    name: str

    def is_done(self, node: Node) -> bool:
        """Whether there is nothing left to do; looks only."""
        return node.run("%s is-done", self._script, check=False, timeout=120).exit_status == 0

    def run(self, node: Node) -> str:
        """Do it unless it is done. Raises EnvctlError with the end of what it said."""
        try:
            done = node.run("%s run 2>&1", self._script, timeout=STEP_TIMEOUT_S)
        except NodeError as failed:
            end = "\n".join(failed.output.splitlines()[-40:])
            raise EnvctlError(f"{node.name}: step {self.name} failed", cause=end or str(failed)) from failed
        return "was done" if done.stdout.strip().endswith(": was done") else "done"

    @property
    def _script(self) -> str:
        return f"{HOME}/steps/{self.name}.sh"


def settle(node: Node, guest: str, settings: Mapping[str, str]) -> str:
    """Send the steps, the guest's files and the wheels to the node, and write down its settings.

    Nothing is sent when the node has exactly this already.
    """
    build_wheels()
    data = bundle(guest)
    words = "\n".join(f"{key}={value}" for key, value in sorted(settings.items()))
    stamp = hashlib.sha256(data + words.encode()).hexdigest()
    there = node.run("cat %s/stamp", HOME, check=False).stdout.strip()
    if there == stamp:
        return "was there"
    node.put(f"{UPLOADED}.tar", data, 0o600)
    line = "rm -rf %s && mkdir %s && tar -xf %s -C %s && rm %s && bash %s/provision/steps/settle.sh %s"
    tar = f"{UPLOADED}.tar"
    node.run(line, UPLOADED, UPLOADED, tar, UPLOADED, tar, UPLOADED, guest, env=settings, timeout=120)
    node.put(f"{HOME}/stamp", stamp.encode())
    return f"{len(data) // 1024} KiB sent"


def bundle(guest: str) -> bytes:
    """The tar that goes to a guest; equal contents give equal bytes."""
    out = io.BytesIO()
    parts = [PROVISION / "steps", PROVISION / "kubernetes", PROVISION / "lock.json"]
    files = [
        path
        for part in (*parts, PROVISION / guest)
        for path in (part.rglob("*") if part.is_dir() else [part])
    ]
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(files):
            if path.is_file() and "root" not in path.relative_to(PROVISION).parts:
                _add(tar, path, f"provision/{path.relative_to(PROVISION)}")
        for path in sorted(WHEELS.rglob("*")):
            if path.is_file():
                _add(tar, path, f"wheels/{path.relative_to(WHEELS)}")
    return out.getvalue()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, path.stat().st_mode & 0o777
    with path.open("rb") as content:
        tar.addfile(entry, content)
