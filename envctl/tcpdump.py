"""One tcpdump on one interface of a node, wherever the node is: started, known to listen, and ended for sure.

It ends when its standard input does. So it also ends behind ssh, where no signal of this machine arrives, and it ends
when the connection is lost.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from envctl.node import Node

ENDS_S = 10.0
SCRIPT = """exec 3<&0
%s </dev/null & dump=$!
{ cat <&3; kill $dump; } >/dev/null 2>&1 &
wait $dump; kill $! 2>/dev/null"""


class Dump:
    """A running tcpdump; ``out`` is the descriptor of what it prints."""

    def __init__(self, node: Node, words: Sequence[str]) -> None:
        """``words`` are its command line. What it says before it listens is the cause of an EnvctlError."""
        self.node = node
        self._process = subprocess.Popen(
            node.argv(SCRIPT % shlex.join(words)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.out = self._process.stdout.fileno()

    def wait_until_it_listens(self) -> None:
        """Raises EnvctlError when it ends instead."""
        errors = self._process.stderr
        assert errors is not None
        said = b""
        while b"listening on" not in said:
            line = errors.readline()
            said += line
            if not line:
                self.kill()
                cause = said.decode(errors="replace").strip()
                raise EnvctlError(f"{self.node.name}: tcpdump ended at once", cause=cause)

    def read(self) -> bytes:
        """What it has printed meanwhile (waits for something); empty at its end."""
        return os.read(self.out, 1 << 16)

    def last_words(self) -> str:
        """What it said on standard error since it listened; for one that has ended by itself, or is about to."""
        errors = self._process.stderr
        assert errors is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDS_S)
        os.set_blocking(errors.fileno(), False)  # a connection that outlives it may hold the other end
        said = (errors.read() or b"").decode(errors="replace").strip()
        return said or f"not a word (exit status {self._process.poll()})"

    def end(self) -> Iterator[bytes]:
        """Tell it to end; what it still prints."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            while data := self.read():
                yield data
        self.kill()

    def kill(self) -> None:
        """It has ended, and nothing of it is left here. What it has not printed yet is lost."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
