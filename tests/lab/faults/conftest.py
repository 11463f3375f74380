"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.agent.conftest import node as node
from tests.lab.agent.conftest import quiet as quiet
from tests.lab.agent.conftest import shared as shared
from tests.lab.agent.rig import Rig
from tests.lab.faults.both import Server, strange_rig


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[Rig, Server]]:
    """One node and one strange server for a module whose tests leave both as they found them."""
    with strange_rig() as made:
        yield made


@pytest.fixture
def strange(lab: tuple[Rig, Server]) -> Iterator[tuple[Rig, Server]]:
    """The same, with the server's manners back to normal afterwards."""
    yield lab
    lab[1].mode()
    lab[0].nothing_left()
