"""Hypothesis without its clock (a busy machine is no failure) and without a database in the tree."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "brdhcp", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("brdhcp")
