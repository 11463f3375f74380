"""Runs inside the bench's node and plays the runtime: starts plugins, alone or many at once, and times each.

Being in the node already, it starts every contender's executable the same way, and no figure holds the cost of
entering a namespace. One JSON object per line comes in, one goes out.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from typing import Any


def call_all(executable: str, names: list[str], environment: dict[str, str], conf: str) -> dict[str, Any]:
    """Start the plugin for every name at once; seconds from start to end of each, and of all together."""
    with tempfile.TemporaryFile() as stdin:
        stdin.write(conf.encode())
        stdin.flush()
        started = time.perf_counter()
        running = selectors.DefaultSelector()
        answers = []
        for name in names:
            running.register(*_start(executable, name, environment, stdin.fileno()))
        while running.get_map():
            for key, _ in running.select():
                name, pid, output, at = key.data
                _, status = os.waitpid(pid, 0)
                took = time.perf_counter() - at
                running.unregister(key.fileobj)
                os.close(key.fd)
                with os.fdopen(output, "rb") as stdout:
                    text = stdout.read().decode()
                answers.append(
                    {
                        "name": name,
                        "seconds": took,
                        "status": os.waitstatus_to_exitcode(status),
                        "stdout": text,
                    }
                )
    return {"answers": answers, "wall": time.perf_counter() - started}


def _start(executable: str, name: str, environment: dict[str, str], stdin: int) -> tuple[int, int, Any]:
    variables = {
        **environment,
        "CNI_CONTAINERID": name,
        "CNI_NETNS": f"/run/netns/{name}",
        "CNI_IFNAME": "eth0",
        "PATH": os.environ["PATH"],
    }
    read, write = os.pipe()
    copy = os.open(f"/proc/self/fd/{stdin}", os.O_RDONLY)
    at = time.perf_counter()
    pid = os.posix_spawn(
        executable, [executable], variables,
        file_actions=[(os.POSIX_SPAWN_DUP2, copy, 0), (os.POSIX_SPAWN_DUP2, write, 1)],
    )  # fmt: skip
    os.close(copy)
    os.close(write)
    return os.pidfd_open(pid), selectors.EVENT_READ, (name, pid, read, at)


def pods(names: list[str], verb: str) -> None:
    """Make (``add``) or remove (``del``) the pods' namespaces."""
    lines = "".join(f"netns {verb} {name}\n" for name in names)
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Do one order."""
    if order["do"] == "pods":
        pods(order["names"], order["verb"])
        return {}
    if order["do"] == "floor":
        from tests.bench import floor

        return floor.measure(order["names"])
    if order["together"]:
        return call_all(order["executable"], order["names"], order["environment"], order["conf"])
    one_by_one = [
        call_all(order["executable"], [name], order["environment"], order["conf"]) for name in order["names"]
    ]
    return {
        "answers": [found["answers"][0] for found in one_by_one],
        "wall": sum(found["wall"] for found in one_by_one),
    }


def main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
