"""What must be true after every fault: the server, the store and the pods' kernels say the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab.agent.rig import ROOT, STATE, Rig, rig
from tests.lab.lan import Machine, until


class Server:
    """The strange server, in the router of a rig."""

    def __init__(self, machine: Machine, identity: str = "172.16.91.254") -> None:
        self.machine = machine
        self._identity = identity
        self._process: subprocess.Popen[str] | None = None
        self.mode()
        self.start()

    def start(self) -> None:
        command = f"env PYTHONPATH={ROOT} {sys.executable} -m tests.lab.faults.strange {self._identity}"
        self._process = self.machine.spawn(command)
        until(lambda: ":67 " in self.machine.run("ss -Hlun").stdout, what="the strange server listens")

    def stop(self) -> None:
        """Away, as a machine that lost its power; its memory is gone."""
        if self._process is not None:
            self.machine.run("pkill -KILL -f tests.lab.faults.strange", check=False)
            self._process.wait()
            self._process = None

    def mode(self, **mode: Any) -> None:
        """From the next message on."""
        body = json.dumps({"lease_s": 3600, **mode})
        self.machine.run("sh -c 'cat >/run/strange.new; mv /run/strange.new /run/strange.mode'", stdin=body)

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """Messages of that kind, in order."""
        text = self.machine.run("cat /run/strange.log", check=False).stdout
        return [entry for line in text.splitlines() if (entry := json.loads(line))["kind"] == kind]


@contextmanager
def strange_rig() -> Iterator[tuple[Rig, Server]]:
    """A node with an agent, and the strange server alone on the LAN."""
    with rig(serve=False) as made:
        server = Server(made.lan.router)
        try:
            made.start()
            yield made, server
        finally:
            server.stop()


def pods(node: Rig) -> dict[str, str]:
    """The IPv4 address of every living pod that has one, as its kernel says."""
    found = {}
    for entry in json.loads(node.lan.node.run("ip -j netns list").stdout or "[]"):
        name = entry["name"]
        shown = json.loads(node.lan.node.run(f"ip -n {name} -j -4 addr show").stdout or "[]")
        for link in shown:
            if link.get("ifname") == "eth0":
                found[name] = link["addr_info"][0]["local"]
    return found


def stored(node: Rig) -> list[str]:
    """The addresses that the store says pods have, in order."""
    found = node.lan.node.run(f"sh -c 'cat {STATE}/attachments/*.json'", check=False).stdout
    decoder, addresses = json.JSONDecoder(), []
    while found := found.lstrip():
        record, end = decoder.raw_decode(found)
        found = found[end:]
        attachment = record["attachment"]
        if attachment["state"] == "bound":
            addresses += [ip["address"].partition("/")[0] for ip in attachment["result"].get("ips", ())]
    return sorted(addresses)


def agree(node: Rig, taken: Callable[[], dict[str, str]] | None = None) -> None:
    """Every address that the server thinks is taken is a living pod's, and the other way round; so in the store."""
    ask = taken or node.lan.server_leases
    living = sorted(pods(node).values())
    until(lambda: stored(node) == living, what=f"the store has promised {living} and nothing else")
    until(lambda: sorted(ask().values()) == living, what=f"the server has leased {living} and nothing else")


def end(node: Rig, *names: str, taken: Callable[[], dict[str, str]] | None = None) -> None:
    """DEL of these pods succeeds, both sides agree, and then nothing is left of them."""
    agree(node, taken)
    for name in names:
        assert node.cni("DEL", name).status == 0
        node.lan.node.run(f"ip netns del {name}", check=False)
    agree(node, taken)
