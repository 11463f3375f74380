"""``envctl logs export`` where the workstation is the user's own machine: what it tells of that machine."""

from __future__ import annotations

from pathlib import Path

from envctl.errors import EnvctlError
from envctl.export import export, is_this_machine
from envctl.node import NamespaceNode, Node
from envctl.providers.base import Apiserver
from envctl.providers.vagrant import LocalNode
from tests.unit.envctl.fake import FakeNode, FakeProvider


class AtHome(FakeProvider):
    """An environment beside this machine's own hypervisor; ``lo`` is its bridge."""

    host_interface = "lo"

    def host(self) -> Node:
        return LocalNode("127.0.0.1")

    def exists(self) -> bool:
        return True

    def apiserver(self) -> Apiserver:
        raise EnvctlError("nothing answers")


def test_of_the_users_own_machine_only_the_environments_bridge_is_told(tmp_path: Path) -> None:
    export(AtHome(), tmp_path)
    told = {path.name: path.read_text() for path in (tmp_path / "host").iterdir()}
    assert set(told) == {"address.txt", "route.txt", "neighbour.txt"}
    assert told["address.txt"].startswith("# ip addr show dev lo\n")
    assert "127.0.0.1/8" in told["address.txt"]
    assert all("dev lo" in text.splitlines()[0] for text in told.values())
    assert told["address.txt"].count("mtu") == 1, "one interface"


def test_this_machine_is_known_by_its_process() -> None:
    assert is_this_machine(LocalNode("172.16.91.1"))
    assert not is_this_machine(NamespaceNode("host", "172.16.91.1", 1))
    assert not is_this_machine(FakeNode("host", "172.16.91.1", []))
