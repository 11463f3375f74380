"""What becomes of a migration, told to the journal: who finds a node off the network looks there first.

To the journal alone. On a terminal ``brdhcpctl`` says its own words, and the guard has none.
"""

from __future__ import annotations

from brdhcp.events import Events, Fact

IDENTIFIER = "brdhcp-uplink"


def tell(name: str, message: str, level: str = "notice", **facts: Fact) -> None:
    """One event; without a journal there is nobody to tell, which is no error."""
    Events(form="journal", identifier=IDENTIFIER, out=None)(name, message, level, **facts)
