"""The node's own lease, handed from the uplink migration to the agent.

A node whose address comes from DHCP would vanish hours after its NIC went into a bridge, when nobody renews that
address where it is now. So the migration stops the node's DHCP client without releasing, writes down what that client
knew, and from then on the agent renews it; a rollback takes the file away, and the node's own client takes over again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from brdhcp.errors import StoreFailure
from brdhcp.store import files

NAME = "node-lease.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLease:
    """What it takes to renew the node's lease. Times are wall-clock seconds since the epoch."""

    bridge: str
    mac: str
    address: str
    """CIDR, as it is on the bridge."""
    client_id: str = ""
    """DHCP option 61 in hexadecimal as the node's client sent it, ``""`` for none."""
    hostname: str = ""
    server: str = ""
    """Server identifier; ``""`` when the node's client did not tell: then it is asked by broadcast."""
    expires: float | None = None
    """None: it does not end."""
    lease_seconds: int | None = None
    boot_id: str = ""
    """The boot in which this holds; after another one the node's own network configuration is in charge."""


def path(state_dir: Path) -> Path:
    """Where the record is."""
    return state_dir / "uplink" / NAME


def write(state_dir: Path, lease: NodeLease) -> None:
    """Put the record on disk. Raises ``StoreFailure``."""
    files.ensure_folder(path(state_dir).parent)
    files.write(path(state_dir), json.dumps(asdict(lease), indent=1).encode() + b"\n")


def read(state_dir: Path) -> NodeLease | None:
    """The record, None when there is none. Raises ``StoreFailure`` for one that cannot be read."""
    try:
        data = path(state_dir).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailure(f"cannot read {path(state_dir)}: {error.strerror}") from error
    try:
        return NodeLease(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise StoreFailure(
            f"{path(state_dir)} is damaged: {error}",
            "brdhcpctl uplink rollback gives it back to the node's client",
        ) from error


def remove(state_dir: Path) -> bool:
    """Take the record away; False when there was none."""
    return files.remove(path(state_dir))
