"""The attachments on disk: one small file each, so that saving one never rewrites or endangers another.

An ADD is written down as *intent* before the kernel or the DHCP server hears of it, becomes *bound* before
it is answered, and *releasing* before a DEL begins to undo it. So whoever starts after a kill finds either
nothing to do or a record that says what to finish. Only what was promised must outlive the machine too: an
intent that a power cut takes is of a namespace that it took as well, and a record that comes back after one
is released a second time. A record carries its own checksum; one that cannot be read is set aside as
``*.damaged`` and reported, the others are kept.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from brdhcp.errors import StoreFailure
from brdhcp.store import files

FORMAT = 1
"""Raised when a record of an older release can no longer be read."""

State = Literal["intent", "bound", "releasing"]
STATES: tuple[State, ...] = ("intent", "bound", "releasing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What identifies an attachment (CNI SPEC: network name, CNI_CONTAINERID, CNI_IFNAME)."""

    network: str
    container_id: str
    if_name: str

    def __str__(self) -> str:
        return f"{self.network}/{self.container_id}/{self.if_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One interface of one container, as it was promised. Times are wall-clock seconds since the epoch."""

    network: str
    container_id: str
    if_name: str
    state: State = "intent"
    role: str = "main"
    """``main``, or ``ipam`` when another plugin made the interface."""
    netns: str = ""
    """Path as the runtime named it; it may mean nothing in the agent's mount namespace."""
    netns_identity: tuple[int, int] | None = None
    """(st_dev, st_ino) of the namespace."""
    boot_id: str = ""
    """/proc/sys/kernel/random/boot_id when this was made: with another one now, the namespace is gone."""
    bridge: str = ""
    veth: str = ""
    """The node's end, ``""`` under another main plugin."""
    mac: str = ""
    """The pod's end."""
    client_id: str = ""
    """DHCP option 61 in hexadecimal, ``""`` for none."""
    hostname: str = ""
    pod: str = ""
    """``namespace/name`` where a Kubernetes runtime said so."""
    lease: Mapping[str, Any] | None = None
    """The lease's own JSON, with wall-clock expiry."""
    result: Mapping[str, Any] | None = None
    """The result of ADD as CNI 1.1.0 has it."""
    netconf: str = ""
    """The network configuration as it came, for DEL of a delegated IPAM and for renewal after a restart."""
    args: str = ""
    """CNI_ARGS as they came."""
    path: str = ""
    """CNI_PATH as it came, for a delegated IPAM."""
    created_at: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Whatever a later release adds."""

    @property
    def key(self) -> Key:
        return Key(network=self.network, container_id=self.container_id, if_name=self.if_name)

    def replace(self, **changes: Any) -> Attachment:
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A file that could not be read, and where it is now."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Store:
    """The attachments under ``folder``, held in memory and on disk; one process at a time owns a folder.

    Opening it loads every record, removes what a kill left half-written, and sets damaged files aside
    (``damaged``). Every method that writes has written when it returns; all raise StoreFailure (code 5).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "attachments"
        self.damaged: list[Damaged] = []
        self._found: dict[Key, Attachment] = {}
        files.ensure_folder(self.folder)
        self._lock = _lock(folder / "lock")
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def get(self, key: Key) -> Attachment | None:
        return self._found.get(key)

    def __iter__(self) -> Iterator[Attachment]:
        """All attachments, as they are now: saving and deleting on the way is fine."""
        return iter(tuple(self._found.values()))

    def __len__(self) -> int:
        return len(self._found)

    def save(self, attachment: Attachment) -> None:
        """Write one attachment, in the place of the one with the same key; only a promise is waited
        for (above).
        """
        files.write(self._path(attachment.key), encode(attachment), sync=attachment.state == "bound")
        self._found[attachment.key] = attachment

    def delete(self, key: Key) -> bool:
        """Forget one attachment; False when there was none."""
        there = files.remove(self._path(key), sync=False)
        return self._found.pop(key, None) is not None or there

    def close(self) -> None:
        """Give the folder free for another process."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _path(self, key: Key) -> Path:
        digest = hashlib.sha256(str(key).encode()).hexdigest()[:16]
        return self.folder / f"{key.container_id[:13]}-{digest}.json"

    def _load(self) -> None:
        try:
            paths = sorted(self.folder.iterdir())
        except OSError as error:
            raise StoreFailure(f"cannot read {self.folder}: {error.strerror}") from error
        for path in paths:
            if path.name.startswith("."):
                files.remove(path, sync=False)
            elif path.suffix == ".json":
                self._load_one(path)

    def _load_one(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            if not data:  # what a power cut may leave of an intent
                files.remove(path, sync=False)
                return
            attachment = decode(data)
            if self._path(attachment.key) != path:
                raise ValueError(f"it is the record of {attachment.key}, under another name")
        except OSError as error:
            raise StoreFailure(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            self.damaged.append(Damaged(path=files.set_aside(path), reason=str(error)))
        else:
            self._found[attachment.key] = attachment


def read(folder: Path) -> list[Attachment]:
    """The attachments under ``folder`` as they are on disk, changing nothing; damaged files are left out.

    For whoever only looks: no lock is taken, so an agent may be at work.
    """
    found = []
    for path in sorted((folder / "attachments").glob("[!.]*.json")):
        try:
            found.append(decode(path.read_bytes()))
        except (OSError, ValueError):
            continue  # gone or replaced while we looked, or damaged: the agent says so in its log
    return sorted(found, key=lambda attachment: attachment.created_at)


def _lock(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreFailure(f"cannot open {path}: {error.strerror}", "see --state-dir of brdhcpd") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StoreFailure(
            f"another agent works with {path.parent}", "stop it first, or give this one another --state-dir"
        ) from error
    return fd


def encode(attachment: Attachment) -> bytes:
    """The record of one attachment: JSON for people, with the CRC-32 of its canonical form against bad
    disks.
    """
    body = {
        name: value
        for f in dataclasses.fields(attachment)
        if (value := getattr(attachment, name := f.name)) not in (None, "", {})
    }
    return (
        _json({"format": FORMAT, "crc32": zlib.crc32(_canonical(body)), "attachment": body}, indent=1) + b"\n"
    )


def decode(data: bytes) -> Attachment:
    """Read a record. Raises ValueError that says what is wrong with it."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON, {len(data)} bytes: {error}") from error
    if not isinstance(record, dict) or not isinstance(body := record.get("attachment"), dict):
        raise ValueError("not the record of an attachment")
    if record.get("format") != FORMAT:
        raise ValueError(f"format {record.get('format')}, this release reads {FORMAT}")
    if zlib.crc32(_canonical(body)) != record.get("crc32"):
        raise ValueError("its checksum is wrong")
    known = {f.name for f in dataclasses.fields(Attachment)}
    extra = {**body.get("extra", {}), **{name: value for name, value in body.items() if name not in known}}
    fields = {name: value for name, value in body.items() if name in known and name != "extra"}
    if fields.get("netns_identity") is not None:
        device, inode = fields["netns_identity"]
        fields["netns_identity"] = (device, inode)
    try:
        attachment = Attachment(**fields, extra=extra)
    except TypeError as error:
        raise ValueError("it has no network, container_id or if_name") from error
    if attachment.state not in STATES:
        raise ValueError(f"its state is {attachment.state!r}")
    return attachment


def _json(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=True).encode()


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
