"""``python -m envctl``: the same as the ``envctl`` script."""

from __future__ import annotations

import sys

from envctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
