"""Every error that envctl shows: a sentence, its cause, what to do now, and the exit code that goes with it.

Exit codes: 0 done, 1 failed and rolled back, 2 usage or configuration, 3 verification failed, 4 rollback
incomplete.
Errors of commands, of the kernel and of libraries are turned into one of these where they are met, chained.
"""

from __future__ import annotations


class EnvctlError(Exception):
    """``what`` is one sentence; ``cause`` may have several lines; ``hint`` says what to do now."""

    exit_code: int = 1

    def __init__(self, what: str, *, cause: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.cause, self.hint) if part)

    def as_json(self) -> dict[str, object]:
        """``{"error": what, "cause": ..., "hint": ..., "exit_code": n}``, empty parts left out."""
        body: dict[str, object] = {"error": self.what}
        if self.cause:
            body["cause"] = self.cause
        if self.hint:
            body["hint"] = self.hint
        return {**body, "exit_code": self.exit_code}


class UsageError(EnvctlError):
    """The command line or the configuration is wrong; nothing was done."""

    exit_code = 2


class StepError(EnvctlError):
    """A step of a plan failed; what the plan had done was undone, or kept because it was asked for."""

    exit_code = 1


class VerificationError(EnvctlError):
    """The environment is there but not as it should be."""

    exit_code = 3


class RollbackError(EnvctlError):
    """Undoing failed somewhere; ``cause`` names what is still there."""

    exit_code = 4
