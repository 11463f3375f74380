"""One virtual machine for all of these tests, made from nothing by the steps that `envctl up` does.

The files are in the order of a machine's life; a test may rest on the ones before it. When something fails, every
log is put below ``build/vm-logs``. ``ENVCTL_KEEP=1`` leaves the machine, to look at.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from envctl.config import Config
from envctl.environment import side_by_side
from envctl.node import Completed, SshNode
from envctl.providers.base import Action, Pod
from envctl.providers.vagrant import Virtual
from tests.vm import until

ROOT = Path(__file__).parents[2]
LEASE_S = 120
CONFIG = {
    "name": "vmtest",
    "provider": "vagrant",
    "guest": "debian12",
    "pods": {"count": 2},
    "uplink": {"confirm_s": 90},
}
MIGRATE = "brdhcpctl uplink migrate --nic eth0 --bridge mybr0 --confirm-within %s"
WAITING = "brdhcpctl uplink status | grep -q 'not confirmed'"
TIMES: list[tuple[str, float, str]] = []
FAILED = pytest.StashKey[bool]()


@dataclass
class Machine:
    """The machine under test, and what was seen of it before its uplink was migrated."""

    provider: Virtual
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def master(self) -> SshNode:
        return self.provider.master()

    def run(self, command: str, *args: object, check: bool = True, timeout: float = 60) -> Completed:
        return self.master.run(command, *args, check=check, timeout=timeout)

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:
        return self.provider.kubectl(*arguments, input=input, timeout=timeout).stdout

    def host(self, command: str, *args: object, check: bool = True, timeout: float = 30) -> Completed:
        return self.provider.host().run(command, *args, check=check, timeout=timeout)

    def pods(self, *names: str) -> list[Pod]:
        """The pods of those names, pod1 and pod2 without any; what is not there is made, all at once."""
        there = {pod.name: pod for pod in self.provider.pod_list() if pod.running}
        return side_by_side(
            lambda name: there.get(name) or self.provider.pod_add(self.master, name),
            names or ("pod1", "pod2"),
        )

    def pod(self, name: str) -> Pod:
        """One of them."""
        return self.pods(name)[0]

    def ready(self) -> bool:
        """The apiserver says ok and the node is Ready."""
        if self.provider.kubectl("get", "--raw", "/readyz", timeout=30).stdout != "ok":
            return False
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        conditions = {one["type"]: one["status"] for one in nodes[0]["status"]["conditions"]}
        return bool(conditions["Ready"] == "True")

    def detached(self, name: str, command: str) -> None:
        """Run a command on the machine that goes on when ssh does not."""
        self.run("systemd-run --quiet --collect --unit=%s sh -c %s", name, command)

    def boots_again(self) -> None:
        """Wait for the reset that was asked for, and for the boot after it."""
        until(self.provider.is_off, within=240, what="the reset", pause=0.5)
        self.master.close()
        self.provider.power_on()

    def expiries(self) -> dict[str, int]:
        """When the lease of each MAC ends, in the server's own books: seconds since the epoch."""
        return {lease.mac: lease.expires for lease in self.provider.server_leases()}

    def network(self) -> dict[str, Any]:
        """Links with addresses, and routes: what a migration moves, without what time moves by itself."""
        links = {}
        for link in self.run("ip -j addr").json():
            held = sorted(f"{entry['local']}/{entry['prefixlen']}" for entry in link["addr_info"])
            links[link["ifname"]] = {"master": link.get("master"), "addresses": held, "mac": link["address"]}
        routes = self.run("ip -j -4 route").json()
        kept = ("dst", "gateway", "dev", "scope", "metric")
        return {
            "links": links,
            "routes": sorted(str({key: route.get(key) for key in kept}) for route in routes),
        }


@pytest.fixture(scope="session")
def lease_s() -> int:
    """So short that every lease here is renewed past its expiry."""
    return LEASE_S


@pytest.fixture(scope="session")
def vm(request: pytest.FixtureRequest, lease_s: int) -> Iterator[Machine]:
    """The machine, before its cluster and the plugin."""
    network = {"dhcp": {"lease_s": lease_s}}
    provider = Virtual(Config.model_validate({**CONFIG, "network": network}))
    if os.environ.get("ENVCTL_KEEP") != "1":
        provider.destroy()
    machine = Machine(provider)
    try:
        errors = [finding for finding in provider.check() if finding.level == "error"]
        assert not errors, "\n".join(f"{finding.what}: {finding.hint}" for finding in errors)
        for action in itertools.takewhile(before_the_cluster, provider.actions()):
            timed(action.title, action.run)
        provider.end_at_reset()
        yield machine
    except BaseException:
        provider.logs(ROOT / "build/vm-logs")
        raise
    finally:
        if request.session.testsfailed and provider.exists():
            provider.logs(ROOT / "build/vm-logs")
        if os.environ.get("ENVCTL_KEEP") != "1":
            timed("everything removed", provider.destroy)


@pytest.fixture(scope="session")
def cluster(vm: Machine) -> Machine:
    """The machine with a cluster on it."""
    for action in itertools.dropwhile(before_the_cluster, vm.provider.actions()):
        timed(action.title, action.run)
    return vm


def before_the_cluster(action: Action) -> bool:
    return not action.title.startswith("kubeadm")


def pytest_configure(config: pytest.Config) -> None:
    """A machine that loses its power takes connections with it, which ssh's library then leaves to the collector."""
    for kind in ("pytest.PytestUnraisableExceptionWarning", "ResourceWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{kind}")


def timed(title: str, call: Any) -> None:
    """Do one step and write down how long it took."""
    started = time.monotonic()
    said = call()
    TIMES.append((title, time.monotonic() - started, str(said or "")))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:  # now, and not only in the summary of a run that may never get there
        logs = ROOT / "build/vm-logs"
        logs.mkdir(parents=True, exist_ok=True)
        (logs / f"{report.nodeid.rpartition('::')[2]}.txt").write_text(report.longreprtext)
    if report.when == "call":
        title = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        TIMES.append((title, report.duration, report.outcome if report.failed else ""))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("steps of the virtual machine")
    for title, seconds, said in TIMES:
        terminalreporter.write_line(f"{seconds:8.1f} s  {title}" + (f"  ({said})" if said else ""))
    terminalreporter.write_line(f"{sum(seconds for _, seconds, _ in TIMES):8.1f} s  together")


__all__ = ["Machine", "cluster", "until", "vm"]
