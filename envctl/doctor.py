"""What this machine needs: the same checks before ``up`` and in ``envctl doctor``, and what mends them."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError
from envctl.show.words import count

if TYPE_CHECKING:
    from envctl.plan import Note
    from envctl.providers.base import Finding


class NotReadyError(EnvctlError):
    """Something is missing on this machine; nothing was changed."""


def errors(findings: Sequence[Finding]) -> list[Finding]:
    """Those that stand in the way."""
    return [finding for finding in findings if finding.level == "error"]


def require(findings: Sequence[Finding]) -> str:
    """One line when nothing stands in the way. Raises NotReadyError with every reason at once."""
    wrong = errors(findings)
    if wrong:
        fixable = any(finding.fix for finding in wrong)
        raise NotReadyError(
            "this machine is not ready",
            cause="\n".join(
                finding.what + (f": {finding.hint}" if finding.hint else "") for finding in wrong
            ),
            hint="envctl doctor --fix mends what it can." if fixable else "Mend these and try again.",
        )
    warnings = sum(finding.level == "warning" for finding in findings)
    checks = count(len(findings), "check")
    return (
        f"{checks}, {warnings} of them with a warning: envctl doctor" if warnings else f"{checks}, all well"
    )


def fix(findings: Sequence[Finding], note: Note) -> list[Finding]:
    """Run what mends a finding, each command once; answers the findings that had one."""
    mended = [finding for finding in findings if finding.level != "ok" and finding.fix]
    for argv in dict.fromkeys(finding.fix for finding in mended):
        note(shlex.join(argv))
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotReadyError(
                f"{shlex.join(argv)} ended with status {done.returncode}",
                cause=(done.stdout + done.stderr).strip(),
            )
    return mended
