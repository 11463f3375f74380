"""The attachments on disk: what was saved is there after any end, and one bad file costs one record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from brdhcp.errors import StoreFailure
from brdhcp.store.leases import Attachment, Key, Store, decode, encode

FULL = Attachment(
    network="mycninet",
    container_id="0123456789abcdef",
    if_name="eth0",
    state="bound",
    netns="/run/netns/pod",
    netns_identity=(4, 4026532000),
    boot_id="b",
    bridge="mybr0",
    veth="veth01234567",
    mac="02:00:00:00:00:01",
    client_id="00636c",
    hostname="web-0",
    pod="default/web-0",
    lease={"address": "172.16.91.131/24", "options": {"12": "6869"}},
    result={"cniVersion": "1.1.0"},
    netconf='{"cniVersion": "1.0.0"}',
    args="A=1",
    path="/opt/cni/bin",
    created_at=1.5,
)


def attachment(number: int, **fields: object) -> Attachment:
    return Attachment(network="n", container_id=f"container{number:04}", if_name="eth0").replace(**fields)


def records(folder: Path) -> list[Path]:
    return sorted((folder / "attachments").iterdir())


def reopened(folder: Path) -> Store:
    store = Store(folder)
    store.close()
    return store


def test_what_was_saved_is_there_for_the_next_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(FULL)
    store.save(attachment(1))
    store.close()
    found = reopened(tmp_path)
    assert found.get(FULL.key) == FULL
    assert found.get(attachment(1).key) == attachment(1)
    assert len(found) == 2
    assert found.damaged == []


def test_a_record_survives_writing_and_reading_in_every_field() -> None:
    assert decode(encode(FULL)) == FULL
    assert decode(encode(attachment(1))) == attachment(1)


def test_saving_again_replaces_and_deleting_forgets(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(attachment(1))
    store.save(attachment(1, state="bound"))
    assert len(records(tmp_path)) == 1
    assert store.delete(attachment(1).key) is True
    assert store.delete(attachment(1).key) is False
    assert (len(store), records(tmp_path)) == (0, [])
    store.close()


def test_saving_one_writes_one_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(20):
        store.save(attachment(number))
    before = {path: path.stat().st_ino for path in records(tmp_path)}
    store.save(attachment(7, state="bound"))
    after = {path: path.stat().st_ino for path in records(tmp_path)}
    assert before.keys() == after.keys()
    assert sum(before[path] != after[path] for path in before) == 1
    store.close()


def test_networks_containers_and_interfaces_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keys = [Key(network=n, container_id=c, if_name=i) for n in "ab" for c in "cd" for i in ("eth0", "eth1")]
    for key in keys:
        store.save(Attachment(network=key.network, container_id=key.container_id, if_name=key.if_name))
    store.close()
    assert {found.key for found in reopened(tmp_path)} == set(keys)


def test_a_second_agent_is_kept_out(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreFailure, match="another agent works with"):
        Store(tmp_path)
    store.close()
    reopened(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b" ", "not JSON, 1 bytes"),
        (encode(FULL)[:-40], "not JSON"),
        (b"\x00" * 200, "not JSON, 200 bytes"),
        (b"[1]", "not the record of an attachment"),
        (encode(FULL).replace(b"172.16.91.131", b"172.16.91.132"), "its checksum is wrong"),
        (encode(FULL).replace(b'"format": 1', b'"format": 9'), "format 9, this release reads 1"),
        (encode(FULL), "under another name"),
    ],
)
def test_a_damaged_record_is_set_aside_and_the_others_are_kept(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    store = Store(tmp_path)
    store.save(attachment(1))
    store.save(attachment(2))
    store.close()
    victim = next(path for path in records(tmp_path) if "0001" in path.name)
    victim.write_bytes(content)
    found = reopened(tmp_path)
    assert [a.key for a in found] == [attachment(2).key]
    (damaged,) = found.damaged
    assert reason in damaged.reason
    assert damaged.path == victim.with_name(victim.name + ".damaged")
    assert damaged.path.read_bytes() == content
    assert reopened(tmp_path).damaged == []


def test_a_second_damaged_file_does_not_overwrite_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store(tmp_path)
        store.save(attachment(1))
        store.close()
        next(path for path in records(tmp_path) if path.suffix == ".json").write_bytes(b"x")
        reopened(tmp_path)
    assert [path.name[-10:] for path in records(tmp_path)] == ["on.damaged", ".damaged.2"]


def test_what_a_kill_left_half_written_is_swept_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(attachment(1))
    store.close()
    (records(tmp_path)[0].parent / ".half.json.new").write_bytes(b'{"for')
    found = reopened(tmp_path)
    assert (len(found), found.damaged, len(records(tmp_path))) == (1, [], 1)


def test_an_intent_that_a_power_cut_emptied_is_swept_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(attachment(1))
    store.close()
    records(tmp_path)[0].write_bytes(b"")
    found = reopened(tmp_path)
    assert (len(found), found.damaged, records(tmp_path)) == (0, [], [])


def test_fields_of_a_later_release_are_kept(tmp_path: Path) -> None:
    later = json.loads(encode(FULL))
    later["attachment"]["colour"] = "blue"
    body = json.dumps(later["attachment"], sort_keys=True, separators=(",", ":"))
    later["crc32"] = zlib.crc32(body.encode())
    found = decode(json.dumps(later).encode())
    assert found.extra == {"colour": "blue"}
    assert decode(encode(found)) == found


def test_a_place_that_cannot_be_written_is_a_store_failure() -> None:
    with pytest.raises(StoreFailure, match="cannot make /proc/brdhcp"):
        Store(Path("/proc/brdhcp"))


WRITER = """
import sys
from pathlib import Path
from brdhcp.store.leases import Attachment, Store
store = Store(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    one = Attachment(network="n", container_id=f"c{number % 5}", if_name="eth0", hostname=str(number))
    store.save(one.replace(netconf="x" * 5000))
    print(number, flush=True)
"""


@pytest.mark.parametrize("promised", [1, 2, 7, 23, 40])
def test_a_kill_at_any_instant_loses_nothing_that_was_promised(tmp_path: Path, promised: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for _ in range(promised):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        last = max([last, *map(int, writer.stdout.read().split())])
    store = reopened(tmp_path)
    assert store.damaged == []
    numbers = {int(found.hostname) for found in store}
    assert max(numbers) in (last, last + 1)
    assert len(store) == min(max(numbers), 5)
