"""Fixtures of the acceptance suite: the environment, its machines as testinfra hosts, its pods.

``envctl verify`` hands its provider in; under plain pytest the environment is chosen by ENVCTL_FILE and
ENVCTL_NAME. A test says what it needs by ``@pytest.mark.needs(workers=1, why="...")``; where the
environment does not have that, it is left out and counted as *not here*.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

from envctl.config import Config
from envctl.configfile import load
from envctl.environment import provider_of, side_by_side
from envctl.providers.base import Pod, Provider, ServerLease
from envctl.verify import Collector, environment_of_suite
from tests.infra.backend import host_of, host_of_pod
from tests.infra.seen import Seen

ORDER = ("test_uplink", "test_leases", "test_reach", "test_life")
"""What the rest stands on first; what disturbs last."""
_PROVIDER: pytest.StashKey[Provider] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class Plugged:
    """A pod under test: what the environment says of it, and a host to run commands in it."""

    pod: Pod
    host: Host

    @property
    def name(self) -> str:
        return self.pod.name

    @property
    def address(self) -> str:
        return self.pod.address

    @property
    def mac(self) -> str:
        return self.pod.mac


Pods = tuple[Plugged, ...]


class Lan:
    """The environment under test, with what several tests look at."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.config: Config = provider.config
        self.nodes = {node.name: host_of(node) for node in provider.nodes()}
        self.host = host_of(provider.host())
        self.internet, self.internet_name = provider.internet() or ("", "localhost")
        self.pods = tuple(
            Plugged(pod, host_of_pod(provider, pod))
            for pod in sorted(provider.pod_list(), key=lambda pod: pod.name)
            if pod.running
        )

    def node_of(self, pod: Plugged) -> Host:
        return self.nodes[pod.pod.node]

    def books(self) -> dict[str, ServerLease]:
        """What the DHCP server itself has in its books now, by MAC."""
        return {lease.mac: lease for lease in self.provider.server_leases()}

    def leases(self) -> dict[str, dict[str, Any]]:
        """What the agents say of their leases now, by MAC."""
        answers = side_by_side(
            lambda host: host.check_output("brdhcpctl leases -o json"), self.nodes.values()
        )
        listed = [lease for answer in answers for lease in json.loads(answer)]
        return {lease["mac"]: lease for lease in listed}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(workers, pods, internet, why): what the environment must have for this test"
    )
    handed = next(
        (plugin for plugin in config.pluginmanager.get_plugins() if isinstance(plugin, Collector)), None
    )
    if handed is None:
        file, name = environment_of_suite()
        config.stash[_PROVIDER] = provider_of(load(file, name=name))
    else:
        config.stash[_PROVIDER] = handed.provider


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER))
    provider = config.stash[_PROVIDER]
    away = [item for item in items if not _has(provider, item)]
    if away:
        config.hook.pytest_deselected(items=away)
        items[:] = [item for item in items if item not in away]


def _has(provider: Provider, item: pytest.Item) -> bool:
    config = provider.config
    there = {
        "workers": config.nodes.workers, "pods": config.pods.count, "internet": int(provider.internet() is not None),
    }  # fmt: skip
    return all(
        there[key] >= least
        for mark in item.iter_markers("needs")
        for key, least in mark.kwargs.items()
        if key != "why"
    )


@pytest.fixture(scope="session")
def lan(request: pytest.FixtureRequest) -> Lan:
    """The environment under test."""
    return Lan(request.config.stash[_PROVIDER])


@pytest.fixture(scope="session")
def pods(lan: Lan) -> Pods:
    """The pods that run; a test that looks at each of them must have some to look at."""
    assert len(lan.pods) >= max(lan.config.pods.count, 1), f"only {len(lan.pods)} pods run"
    return lan.pods


@pytest.fixture(scope="session")
def seen(lan: Lan, pods: Pods) -> dict[str, Seen]:
    """What every pod sees, by name: asked once, all pods at the same time."""
    network = lan.config.network
    nodes = lan.config.node_addresses().values()
    fixed = [network.gateway, network.host, *filter(None, [lan.internet]), *nodes]

    def look(pod: Plugged) -> Seen:
        targets = [*fixed, *(other.address for other in pods if other is not pod)]
        return Seen.by(pod.host, targets, lan.internet_name)

    return dict(zip((pod.name for pod in pods), side_by_side(look, pods), strict=True))


@pytest.fixture(scope="session")
def host(lan: Lan) -> Host:
    """The workstation on the LAN."""
    return lan.host


@pytest.fixture
def temporary_pod(lan: Lan) -> Iterator[Plugged]:
    """A pod of the test's own on the first node; gone afterwards, whether or not the test removed it."""
    name = "acceptance"
    pod = lan.provider.pod_add(lan.provider.nodes()[0], name)
    yield Plugged(pod, host_of_pod(lan.provider, pod))
    if any(there.name == name for there in lan.provider.pod_list()):
        lan.provider.pod_rm(name)
