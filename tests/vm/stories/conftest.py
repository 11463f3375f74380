"""A machine whose leases outlast a symptom: a NIC that is a port cannot renew its own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def lease_s() -> int:
    return 3600
