"""Is it true? Runs the acceptance suite against an environment, in this process, and collects what it
found.
"""

from __future__ import annotations
