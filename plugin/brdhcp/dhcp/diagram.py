"""The machine's table as a Mermaid state diagram; the documentation's picture is this function's output."""

from __future__ import annotations

from brdhcp.dhcp.machine import TABLE
from brdhcp.dhcp.states import State


def mermaid() -> str:
    """The text of a ``stateDiagram-v2``, one edge per row, in the order of the table."""
    lines = ["stateDiagram-v2", "    [*] --> INIT", "    [*] --> INIT_REBOOT"]
    for row in TABLE.values():
        doing = (row.action.__doc__ or "").splitlines()[0].rstrip(".")
        lines.append(f"    {row.state.value} --> {row.target.value}: {row.symbol.value} / {doing}")
    lines.append(f"    {State.RELEASED.value} --> [*]")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(mermaid(), end="")
