"""The page on installing is walked on a node of a lab, which has no way to any package index, and starts empty."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from envctl.node import PATH, NamespaceNode
from tests.docs.walk import Command, steps, walk
from tests.lab.envctl_lab.labs import a_lab
from tests.unit.test_linters import ROOT

PAGE = ROOT / "docs/how-to/install.md"
STANDINS = "/run/standins"
SAID = f"{STANDINS}/said"
SYSTEMCTL = f"""#!/bin/sh -e
# For a machine without systemd: writes down what it is told. A unit must be there, and the program that it starts;
# --now starts or ends the agent.
echo "$*" >>{SAID}
verb=$1
shift
[ "${{1:-}}" != --now ] || {{ now=yes; shift; }}
for unit; do
    command=$(sed -n 's/^ExecStart=//p' "/etc/systemd/system/$unit.service")
    test -x "${{command%% *}}"
    case $verb${{now:+ now}} in
        'enable now')
            setsid --fork sh -c "exec $command" </dev/null >>/run/brdhcpd.log 2>&1
            until [ -S /run/brdhcp/agent.sock ]; do :; done ;;
        'disable now')
            pkill -x brdhcpd
            while pgrep -x brdhcpd >/dev/null; do :; done ;;
    esac
done
"""


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """What pip would fetch for the plugin, fetched before: the node has no way out."""
    project = tomllib.loads((ROOT / "plugin/pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"], "wheel"]
    folder = tmp_path / "wheels"
    argv = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--retries",
        "0",
        "--dest",
        str(folder),
        *wanted,
    ]
    fetched = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert not fetched.returncode, f"the package index does not answer: {fetched.stderr.strip()[-200:]}"
    return folder


@pytest.fixture
def node() -> Iterator[NamespaceNode]:
    """A node without the plugin, whose /usr/local is its own too; it has a stand-in for systemctl."""
    with a_lab(nodes={"workers": 0}) as lab:
        master = lab.machine("master")
        layers = "lowerdir=/usr/local,upperdir=/run/local/upper,workdir=/run/local/work"
        master.run("mkdir -p /run/local/upper /run/local/work")
        master.run("mount -t overlay -o %s overlay /usr/local", layers)
        master.put(f"{STANDINS}/systemctl", SYSTEMCTL.encode(), 0o755)
        yield master


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The part of the project that the page speaks of; building leaves files in it."""
    folder = tmp_path / "checkout"
    left_out = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "plugin", folder / "plugin", ignore=left_out)
    return folder


def listed(node: NamespaceNode) -> list[str]:
    """Files in the folders that the page writes to."""
    folders = "/opt/brdhcp", "/opt/cni", "/usr/local/bin", "/etc/systemd/system"
    return sorted(node.run(f"find {' '.join(folders)} ! -type d", check=False).stdout.splitlines())


def test_the_page_on_installing_does_what_it_says_and_takes_it_off_again(
    node: NamespaceNode, checkout: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(wheels), "NO_CACHE_DIR": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)

    def start(words: str) -> list[str]:
        path = f"{STANDINS}:{PATH.removeprefix('/opt/brdhcp/bin:')}"
        return node.enter("env", "-C", str(checkout), f"PATH={path}", "bash", "-c", words)

    before = listed(node)
    commands = [step for step in steps(PAGE.read_text()) if isinstance(step, Command)]
    assert walk(PAGE, checkout, "none", start=start, timeout_s=120) == len(commands)
    assert listed(node) == before
    said = [shlex.split(line) for line in node.get(SAID).decode().splitlines()]
    enabled = [words for words in said if words[0] == "enable"]
    assert {words[-1] for words in enabled} == {
        path.stem for path in (ROOT / "plugin/systemd").glob("*.service")
    }
