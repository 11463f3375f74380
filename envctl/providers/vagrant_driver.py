"""python-vagrant, with what it lacks added in this one place.

It starts ``vagrant`` itself; here the command is put where the hypervisor is (:mod:`vagrant_ground`), its output is
kept in a log instead of thrown away, and a failure carries the end of that log. Boxes with metadata of several
versions are added by their file, which python-vagrant's ``box_add`` (name and url) cannot say.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import vagrant

from envctl.errors import EnvctlError
from envctl.providers.vagrant_ground import Ground

ROOT = Path(__file__).parents[2]
TAIL_LINES = 20


class Driver(vagrant.Vagrant):  # type: ignore[misc]
    """Drives the checkout's Vagrantfile on a ground."""

    def __init__(self, ground: Ground, state: Path, settings: Mapping[str, str]) -> None:
        self.ground = ground
        self.log = state / "vagrant.log"
        own = {
            "VAGRANT_CWD": str(ROOT),
            "VAGRANT_DOTFILE_PATH": str(state / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
        }
        state.mkdir(parents=True, exist_ok=True)
        super().__init__(
            root=str(ROOT), env={**os.environ, **own, **settings}, out_cm=self._log, err_cm=self._log
        )

    @contextmanager
    def _log(self) -> Iterator[IO[str]]:
        with self.log.open("a") as file:
            yield file

    def _make_vagrant_command(self, args: Sequence[str | None]) -> list[str]:
        try:
            return self.ground.argv(super()._make_vagrant_command(args))
        except RuntimeError as missing:
            raise EnvctlError("vagrant is not installed", hint="make install-vm") from missing

    def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
        with self._explained(args):
            super()._call_vagrant_command(args)

    def _run_vagrant_command(self, args: Sequence[str | None]) -> Any:
        with self._explained(args):
            return super()._run_vagrant_command(args)

    @contextmanager
    def _explained(self, args: Sequence[str | None]) -> Iterator[None]:
        try:
            yield
        except subprocess.CalledProcessError as failed:
            words = " ".join(word for word in args if word)
            lines = [line.split("\r")[-1] for line in self.log.read_text(errors="replace").splitlines()]
            raise EnvctlError(
                f"vagrant {words} failed with exit status {failed.returncode}",
                cause="\n".join(lines[-TAIL_LINES:]),
                hint=f"all of it, with envctl up --keep: {self.log}",
            ) from failed

    def has_box(self, name: str, version: str) -> bool:
        """Whether that version of the box is installed."""
        return any(box.name == name and box.version == version for box in self.box_list())

    def add_box(self, metadata: Path) -> None:
        """Install a box by the file that describes it."""
        self._call_vagrant_command(["box", "add", str(metadata), "--provider", "libvirt", "--force"])
