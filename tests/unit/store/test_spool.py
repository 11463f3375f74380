"""The spool: what the shim wrote down is found in order, and only what was done is removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from brdhcp.errors import StoreFailure
from brdhcp.store.spool import Spool


def put(folder: Path, name: str, body: bytes, at: int) -> Path:
    path = folder / name
    temporary = folder / f".{name}"
    temporary.write_bytes(body)
    os.utime(temporary, ns=(at, at))
    temporary.rename(path)
    return path


def test_requests_are_found_oldest_first_and_half_written_ones_are_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    put(spool.folder, "b-eth0.del", b"second", 20)
    put(spool.folder, "a-eth0.del", b"third", 30)
    put(spool.folder, "c-eth0.del", b"first", 10)
    (spool.folder / ".d-eth0.123").write_bytes(b"half")
    assert [spooled.body for spooled in spool.pending()] == [b"first", b"second", b"third"]


def test_what_was_done_is_removed_and_may_be_removed_twice(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(tmp_path, "a-eth0.del", b"x", 10)
    (spooled,) = spool.pending()
    spool.done(spooled)
    spool.done(spooled)
    assert spool.pending() == []


def test_a_newer_request_of_the_same_name_is_not_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(tmp_path, "a-eth0.del", b"old", 10)
    (old,) = spool.pending()
    put(tmp_path, "a-eth0.del", b"new", 20)
    spool.done(old)
    assert [spooled.body for spooled in spool.pending()] == [b"new"]


def test_a_request_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(tmp_path, "a-eth0.del", b"garbage", 10)
    assert spool.set_aside(spool.pending()[0]).name == "a-eth0.del.damaged"
    assert spool.pending() == []


def test_a_spool_that_cannot_be_made_is_a_store_failure() -> None:
    with pytest.raises(StoreFailure, match="cannot make"):
        Spool(Path("/proc/brdhcp/spool"))
