"""Fixtures of the agent's lab tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.agent.rig import Rig, rig


@pytest.fixture
def node() -> Iterator[Rig]:
    """A node of its own, with an agent that runs."""
    with rig() as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    """One node for all tests of a module that leave it as they found it."""
    with rig() as made:
        made.start()
        yield made


@pytest.fixture
def quiet() -> Iterator[Rig]:
    """A node of its own, its agent not started yet."""
    with rig() as made:
        yield made
