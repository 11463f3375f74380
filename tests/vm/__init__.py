"""Real machines: a guest that is booted, a cluster by kubeadm, pods by its kubelet. `make test-vm`."""

from __future__ import annotations

import time
from collections.abc import Callable

from envctl.errors import EnvctlError


def until(condition: Callable[[], object], *, within: float, what: str, pause: float = 2.0) -> None:
    """Wait until ``condition()`` is true; an EnvctlError (a machine that does not answer yet) counts as false.

    Deadlines are generous and looks are rare, because an emulated machine is slow and has its host's processors.
    """
    deadline = time.monotonic() + within
    said = ""
    while True:
        try:
            if condition():
                return
            said = ""
        except EnvctlError as error:
            said = f": {error}"
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within:g} s{said}")
        time.sleep(pause)
