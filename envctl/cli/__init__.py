"""The command line: words in, one call, results out. The only place that prints results and exits.

Exit codes: 0 done, 1 failed and rolled back, 2 usage or configuration, 3 verification failed, 4 rollback
incomplete. Modules are imported when their verb is run, so that ``envctl --help`` stays quick.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``envctl ARGV...``; the console script. Returns the exit code."""
    import typer

    from envctl.cli.app import app
    from envctl.cli.output import err, report
    from envctl.errors import EnvctlError

    words = list(sys.argv[1:] if argv is None else argv)
    command = typer.main.get_command(app)
    try:
        status = command.main(args=words, prog_name="envctl", standalone_mode=False)
    except EnvctlError as error:
        report(error, as_json=_wants_json(words))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        err().print("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # Click's own errors (a misspelled option, a missing argument) know how to say what they are.
        if not hasattr(error, "show"):
            raise
        error.show()
        return 2
    return status if isinstance(status, int) else 0


def _wants_json(words: Sequence[str]) -> bool:
    own = words[: words.index("--")] if "--" in words else words
    return bool({"-ojson", "--output=json"} & set(own)) or bool(
        {("-o", "json"), ("--output", "json")} & set(itertools.pairwise(own))
    )
