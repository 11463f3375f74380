"""Labs for tests, each under a name of its own, removed even when the test process is killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envctl.config import Config
from envctl.node import Node
from envctl.providers import lab_machines
from envctl.providers.lab import Lab

WATCHER = """
import sys
from envctl.config import Config
from envctl.providers.lab import Lab
sys.stdin.read()  # ends when the test closes its end, or is no more
Lab(Config(name=sys.argv[1])).destroy()
"""
ROOT = Path(__file__).parents[3]


def fresh_name() -> str:
    return f"t{secrets.token_hex(5)}"


@contextlib.contextmanager
def removed_at_the_end(name: str) -> Iterator[None]:
    """Whatever becomes of this process, the lab of that name is destroyed when it leaves here."""
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, name], stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )
    try:
        yield
    finally:
        watcher.communicate(timeout=30)
        assert watcher.returncode == 0


@contextlib.contextmanager
def a_lab(**config: Any) -> Iterator[Lab]:
    """A lab that is up; one worker unless ``config`` says otherwise."""
    name = config.setdefault("name", fresh_name())
    with removed_at_the_end(name):
        lab = Lab(Config.model_validate(config))
        lab.create()
        yield lab


def traces(name: str) -> list[str]:
    """What there is of an environment on this machine: processes, links, files, mounts."""
    found = [f"process {pid}" for pid in lab_machines.machines(name).values()]
    found += [f"process {pid}" for pid in lab_machines.beginners(name)]
    found += [f"process {pid}" for pid in lab_machines.pods(name).values()]
    found += (
        [str(path) for path in lab_machines.NETNS.glob(f"{name}-*")] if lab_machines.NETNS.exists() else []
    )
    found += [str(lab_machines.directory(name))] if lab_machines.directory(name).exists() else []
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return found + [f"mount {line}" for line in mounts if name in line]


def machine_state() -> dict[str, object]:
    """What a lab must leave alone on this machine: links, addresses, routes, rules, mounts, firewall,
    folders.
    """
    commands = ("ip -o link", "ip -o addr", "ip route show table all", "ip rule", "nft list ruleset")
    state: dict[str, object] = {
        command: subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        for command in commands
    }
    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    state["mounts"] = sorted(path for path in mounts if not path.startswith(str(lab_machines.NETNS)))
    for folder in ("/etc", "/opt", "/var/lib", "/etc/cni", "/opt/cni"):
        state[folder] = sorted(os.listdir(folder)) if Path(folder).exists() else None  # noqa: PTH208
    state["forwarding"] = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    state["hostname"] = os.uname().nodename
    return state


FETCH = """
import ssl, sys, urllib.request, urllib.error
url, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca) if ca else None
try:
    answer = urllib.request.urlopen(url, timeout=5, context=context)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.headers["Server"])
print(answer.read().decode(), end="")
"""


def fetch(node: Node, url: str, ca: str = "") -> tuple[int, str, str]:
    """Status, server and body of what ``url`` answers to a node; ``ca`` is a file of the node to verify with.

    NodeError when nothing answers, or with another certificate.
    """
    head, _, body = node.run("python3 -I -S -c %s %s %s", FETCH, url, ca).stdout.partition("\n")
    status, _, server = head.partition(" ")
    return int(status), server, body
