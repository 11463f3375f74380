"""``envctl report`` and ``envctl capture`` of a real environment, and the page in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envctl.pcapng import read
from tests.docs.browser import Browser
from tests.lab.envctl_lab.labs import fresh_name, removed_at_the_end
from tests.lab.lan import until

ENVCTL = Path(sys.executable).with_name("envctl")


def envctl(*words: str | Path) -> str:
    done = subprocess.run([ENVCTL, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An environment, and a folder with its report."""
    name, folder = fresh_name(), tmp_path_factory.mktemp("report")
    with removed_at_the_end(name):
        envctl("up", "-n", name, "--no-verify")
        envctl("report", "-n", name, "--write", folder / "report.html")
        yield name, folder


def test_the_report_says_what_there_is(made: tuple[str, Path]) -> None:
    name, folder = made
    page = (folder / "report.html").read_text()
    facts = json.loads(envctl("status", "-n", name, "-o", "json"))
    pods = [pod for node in facts["nodes"] for pod in node["pods"]]
    assert len(pods) == 3
    for pod in pods:
        assert pod["address"] in page and pod["mac"] in page
        assert f"{pod['name']} gets {pod['address']}" in page, "its renewal was captured"
    assert "acceptance gives back" in page, "the pod of the acceptance suite, by its name"
    assert "pings lost while migrating" in page
    assert "DHCPDISCOVER" in page and "DHCPACK" in page and "DHCPRELEASE" in page
    assert "dnsmasq-dhcp" in page, "the server's log"
    assert "cniVersion" in page, "the configuration"


def test_the_report_needs_no_network(made: tuple[str, Path]) -> None:
    page = (made[1] / "report.html").read_text()
    outside = re.findall(r'(?:src|href|url\()\s*=?\s*"?(https?:[^"\s>]+|//[^"\s>]+)', page)
    assert outside == []
    assert "<script" not in page


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (500, False)])
def test_a_browser_shows_the_report(made: tuple[str, Path], tmp_path: Path, width: int, dark: bool) -> None:
    seen = Browser(tmp_path).open(made[1] / "report.html", width=width, height=1600, dark=dark)
    assert seen.complaints == []
    assert seen.document.count("<svg") >= 6
    assert seen.picture.stat().st_size > 60_000


def test_the_report_can_be_printed(made: tuple[str, Path], tmp_path: Path) -> None:
    pdf = Browser(tmp_path).printed(made[1] / "report.html")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert pdf.stat().st_size > 30_000


def test_a_capture_has_named_interfaces_and_comments_and_words(
    made: tuple[str, Path], tmp_path: Path
) -> None:
    name, file = made[0], tmp_path / "all.pcapng"
    argv: list[str | Path] = [
        ENVCTL,
        "capture",
        "-n",
        name,
        "-w",
        "host",
        "-w",
        "mybr0",
        "-w",
        "pod1",
        "--write",
        file,
    ]
    with subprocess.Popen(
        [*argv, "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as running:
        assert running.stderr is not None and running.stdout is not None
        until(lambda: "listening on" in running.stderr.readline(), what="the capture's beginning")  # type: ignore[union-attr]
        envctl("exec", "master", "-n", name, "--", "brdhcpctl", "renew")
        said = [json.loads(running.stdout.readline()) for _ in range(2)]
        running.terminate()
        rest, _ = running.communicate(timeout=20)
    said += [json.loads(line) for line in rest.splitlines()]
    assert any("asks to keep" in one["words"] for one in said)
    with file.open("rb") as pcapng:
        frames = list(read(pcapng))
    assert {"pod1:eth0"} <= {frame.where for frame in frames if "DHCPACK" in frame.comment}
    told = subprocess.run(["tcpdump", "-n", "-r", file, "udp"], capture_output=True, text=True, check=False)
    assert "BOOTP/DHCP" in told.stdout
