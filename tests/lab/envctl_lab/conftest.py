"""One lab for all tests of a module that only look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import a_lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with a_lab() as made:
        yield made
