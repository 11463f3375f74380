"""Running the tools that make a box: argv in, a failure that carries what was run and what it said out."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from envctl.errors import EnvctlError

TAIL_LINES = 25


class BoxError(EnvctlError):
    """A part of the box could not be made."""


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str = "",
) -> str:
    """Run ``argv`` and give its standard output; ``env`` is added to the caller's.

    Raises BoxError with the command, its exit status and the end of its output.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, cwd=cwd, env={**os.environ, **(env or {})}, input=input, text=True, capture_output=True
        )
    except FileNotFoundError as missing:
        raise BoxError(
            f"{words[0]} is not installed",
            hint="Install the packages of provision/packages.vm: make install-vm",
        ) from missing
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()[-TAIL_LINES:]
        raise BoxError(
            f"{shlex.join(words)} failed with exit status {done.returncode}",
            cause="\n".join(f"  | {line}" for line in said),
        )
    return done.stdout
