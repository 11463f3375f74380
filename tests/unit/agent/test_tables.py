"""``brdhcpctl leases --watch``: what stands on disk, again and again, with no agent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from brdhcp.store.leases import Attachment, Store

CTL = Path(sys.executable).with_name("brdhcpctl")
WEB = Attachment(network="mycninet", container_id="web", if_name="eth0", pod="shop/web-0").replace(
    state="bound", lease={"address": "172.16.91.131/24", "leaseSeconds": 3600}
)


@contextmanager
def watching(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``brdhcpctl leases --watch``; it is killed when it says nothing more."""
    # Also where these tests run in a shell's background, which ignores it.
    heard = ("env", "--default-signal=INT")
    argv = [*heard, str(CTL), "leases", "--watch", "--state-dir", str(folder), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = threading.Timer(20, process.kill)
        deadline.start()
        try:
            yield process
        finally:
            deadline.cancel()
            process.kill()


def until_said(out: IO[str], word: str) -> str:
    """The first line with ``word`` in it."""
    for line in out:
        if word in line:
            return line
    raise AssertionError(f"{word} was not said in time")


def test_a_watched_table_follows_what_is_on_disk_and_ends_without_a_trace(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with watching(tmp_path, "-o", "json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == []
        store.save(WEB)
        (row,) = json.loads(until_said(process.stdout, "web"))
        assert (row["pod"], row["address"], row["state"]) == ("shop/web-0", "172.16.91.131/24", "bound")
        store.delete(WEB.key)
        until_said(process.stdout, "[]")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""
    store.close()


def test_a_watched_table_clears_the_screen_before_each_look(tmp_path: Path) -> None:
    with watching(tmp_path) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert process.stdout.readline() == "\x1b[H\x1b[Jno attachments\n"
