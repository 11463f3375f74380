"""``envctl report``: where the page says that its DHCP is from, and how the verb ends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from brdhcp.dhcp.frame import broadcast_frame
from brdhcp.dhcp.message import Message, MessageType
from brdhcp.dhcp.options import Option

from envctl.cli import main
from envctl.errors import EnvctlError
from envctl.pcapng import Frame, Writer
from envctl.plan import Note
from envctl.providers.base import Apiserver, Provider
from envctl.report.gather import gather
from envctl.report.page import render
from envctl.verify import Check, Report
from tests.unit.envctl.fake import FakeProvider

MAC = "02:00:5e:00:00:07"
ASKS = Message(chaddr=bytes.fromhex(MAC.replace(":", "")), xid=7, options={
    int(Option.MESSAGE_TYPE): bytes([MessageType.DHCPDISCOVER]),
})  # fmt: skip
FRAME = Frame("host:eth0", 1_700_000_000_000_000_000, broadcast_frame(ASKS.encode(), MAC))
GOOD = Check("a", "Uplink", "the address is on the bridge", "passed", 0.1)
BAD = Check("b", "Leases", "every pod has a lease", "failed", 0.1, "pod2 has none")


class Down(FakeProvider):
    """An environment that is there, and none of its machines is up."""

    def exists(self) -> bool:
        return True

    def apiserver(self) -> Apiserver:
        raise EnvctlError("nothing answers")


def suite(*checks: Check) -> Callable[[Note], Report]:
    return lambda _note: Report(checks)


def about_dhcp(captured: tuple[str, list[Frame]] | None, verify: Callable[[Note], Report] | None) -> str:
    """The words of the page's section on DHCP."""
    page = render(gather(Down(), verify, lambda _text: None, captured))
    section = page.split("<h2>DHCP, message by message</h2>")[1].split("</section>")[0]
    return re.sub(r"<[^>]+>", "", section)


def test_a_page_made_of_a_capture_says_so_whether_checks_were_run_or_not() -> None:
    for verify in (None, suite(GOOD)):
        words = about_dhcp(("renewal.pcapng", [FRAME]), verify)
        assert "Read from the capture renewal.pcapng" in words
        assert "while the checks" not in words
        assert f"{MAC} asks" in words


def test_a_capture_without_dhcp_is_named() -> None:
    assert "There is no DHCP in the capture arp.pcapng." in about_dhcp(("arp.pcapng", []), None)


def test_a_page_without_checks_and_capture_does_not_speak_of_checks_that_were_run() -> None:
    assert "Nothing was captured, since no checks were run" in about_dhcp(None, None)


def test_a_page_whose_checks_brought_no_dhcp_says_so() -> None:
    assert "No DHCP was seen on the bridges while the checks below were run." in about_dhcp(None, suite(GOOD))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Provider:
    made = Down()
    monkeypatch.setattr("envctl.environment.provider_of", lambda _config: made)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize(("checks", "status"), [((GOOD,), 0), ((GOOD, BAD), 3), ((), 3)])
def test_a_failed_check_is_exit_code_3_and_the_page_is_written_all_the_same(
    checks: tuple[Check, ...], status: int, provider: Provider, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("envctl.cli.lifecycle.suite", lambda _provider: suite(*checks))
    assert main(["report", "--write", "page.html", "-o", "json"]) == status
    said = capsys.readouterr()
    assert json.loads(said.out)["passed"] is (status == 0)
    assert "<h2>Verification</h2>" in Path("page.html").read_text()
    assert ("every pod has a lease: pod2 has none" in said.err) is (BAD in checks)


def test_the_page_names_the_file_that_was_given(provider: Provider) -> None:
    with Path("renewal.pcapng").open("wb") as file:
        Writer(file, [("host:eth0", "the workstation")]).write(FRAME)
    assert main(["report", "--no-verify", "--capture", "renewal.pcapng", "--write", "page.html"]) == 0
    assert "renewal.pcapng" in Path("page.html").read_text()
