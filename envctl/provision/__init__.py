"""Fabric steps on a guest: each asks `is_done` and does `run`, by the very scripts that plain Vagrant runs."""
