"""Where things are on a node, unless an option says otherwise."""

from __future__ import annotations

from pathlib import Path

SOCKET = Path("/run/brdhcp/agent.sock")
"""Where the agent listens."""
STATE_DIR = Path("/var/lib/brdhcp")
"""What must outlive a reboot: attachments, requests that wait, the journal of the uplink migration."""
