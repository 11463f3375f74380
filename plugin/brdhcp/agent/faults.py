"""Places where a test may end the agent as a power cut would: by name, and only when asked to.

``BRDHCP_FAULT="add: lease on disk"`` makes the agent kill itself (SIGKILL) the first time it passes that point.
Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

_AT = os.environ.get("BRDHCP_FAULT", "")

POINTS = (
    "add: intent on disk",
    "add: link made",
    "add: lease acquired",
    "add: address set",
    "add: lease on disk",
    "del: releasing on disk",
    "del: release sent",
    "del: link deleted",
    "del: record deleted",
    "renew: acknowledged",
    "renew: on disk",
    "start: store loaded",
    "start: leases resumed",
)


def point(name: str) -> None:
    """Die here if this is the point that was asked for."""
    if _AT and name == _AT:
        os.kill(os.getpid(), signal.SIGKILL)
