"""The journal is told what becomes of a migration, whoever decides it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.lan import Lan, until
from tests.lab.uplink.rig import settled, uplink

JOURNALD = """
import json, os, socket
os.makedirs("/run/systemd/journal")
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind("/run/systemd/journal/socket")
with open("/run/told", "w") as file:
    print("ready", flush=True)
    while True:
        lines = sock.recv(65536).decode().splitlines()
        print(json.dumps(dict(line.split("=", 1) for line in lines)), file=file, flush=True)
"""


@pytest.fixture
def lan() -> Iterator[Lan]:
    """The node has a journal that writes down every datagram."""
    with Lan(serve=False) as made:
        settled(made)
        made.node.run("tee /run/journald.py", stdin=JOURNALD)
        journald = made.node.spawn("/usr/bin/python3 /run/journald.py", stdout=subprocess.PIPE)
        assert journald.stdout is not None and journald.stdout.readline() == "ready\n"
        yield made
        made.close()
        journald.communicate()


def told(lan: Lan) -> list[dict[str, str]]:
    return [json.loads(line) for line in lan.node.run("cat /run/told").stdout.splitlines()]


def names(lan: Lan) -> list[str]:
    return [event["BRDHCP_EVENT"] for event in told(lan)]


def test_every_step_and_the_guards_way_back_are_told_with_their_fields(lan: Lan) -> None:
    steps = len(uplink(lan, "plan")["steps"])
    assert names(lan) == []
    uplink(lan, "migrate --confirm-within 0.5")
    until(lambda: names(lan)[-1] == "uplink-rolled-back", what="the guard told that it went back")
    assert names(lan) == ["uplink-step"] * steps + ["uplink-waiting", "uplink-rolled-back"]
    assert [event["BRDHCP_STEP"] for event in told(lan)[:steps]] == [str(n + 1) for n in range(steps)]
    last = told(lan)[-1]
    assert last["BRDHCP_REASON"] == "the guard: nobody confirmed"
    assert (last["BRDHCP_NIC"], last["BRDHCP_BRIDGE"]) == ("eth0", "mybr0")
    assert last["SYSLOG_IDENTIFIER"] == "brdhcp-uplink"


def test_a_confirmation_and_a_refusal_are_told(lan: Lan) -> None:
    uplink(lan, "migrate --confirm-within 20")
    uplink(lan, "confirm")
    assert names(lan)[-1] == "uplink-confirmed"
    uplink(lan, "migrate --nic eth0", check=False)
    assert names(lan)[-1] == "uplink-refused"
    assert "another migration is open" in told(lan)[-1]["MESSAGE"]
