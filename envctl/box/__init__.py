"""The box: a guest with real Kubernetes, made from the Debian package index alone.

Four parts, each cached by the content it was made from: the Kubernetes binaries, the root file system,
the container images, and the box itself. A second build of the same inputs takes seconds.
"""

from __future__ import annotations

from envctl.box.build import Box, build
from envctl.box.run import BoxError

__all__ = ["Box", "BoxError", "build"]
