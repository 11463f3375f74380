"""Hypothesis without its clock (a busy machine is no failure) and without a database in the tree."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("brdhcp", deadline=None, database=None)
settings.load_profile("brdhcp")
