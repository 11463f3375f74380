"""The steps of ``up``: their order, that they converge, and what they take back."""

from __future__ import annotations

import dataclasses

import pytest

from envctl.apply import Outcome, execute
from envctl.configfile import parse
from envctl.doctor import NotReadyError, require
from envctl.errors import StepError, VerificationError
from envctl.plan import Note
from envctl.providers.base import Finding
from envctl.steps import up_plan
from envctl.verify import Check, Report
from tests.unit.envctl.fake import FakeProvider
from tests.unit.envctl.test_apply import Told

GOOD = Report((Check("a", "Leases", "it has one", "passed", 0.1),))
BAD = Report((Check("a", "Leases", "it has one", "failed", 0.1, "it has none"),))


def up(provider: FakeProvider, report: Report = GOOD) -> list[str]:
    def suite(note: Note) -> Report:
        provider.log.append("verify")
        return report

    results = execute(up_plan(provider, suite), Told())
    return [f"{result.step}: {result.detail}" for result in results]


def test_up_goes_from_nothing_to_verified_pods() -> None:
    provider = FakeProvider()
    assert up(provider) == [
        "doctor: 1 check, all well",
        "lab: master, worker1 on 172.16.91.0/24; dnsmasq at 172.16.91.254; apiserver-standin :8443",
        "plugin: brdhcp on master, worker1; the agent answers",
        "migrate: eth0 → mybr0 on master, worker1; confirmed from the workstation",
        "pods: pod1 .128, pod2 .129, pod3 .130",
        "verify: 1 of 1 check passed",
    ]
    order = [entry for entry in provider.log if "status" not in entry]
    assert order.index("make") < order.index("master: uplink migrate") < order.index("master: uplink confirm")
    assert order.index("master: uplink confirm") < order.index("master: add pod1") < order.index("verify")


def test_pods_are_spread_over_the_nodes() -> None:
    provider = FakeProvider()
    up(provider)
    assert {pod.name: pod.node for pod in provider.pod_list()} == {
        "pod1": "master",
        "pod2": "worker1",
        "pod3": "master",
    }


def test_a_second_up_migrates_nothing_and_adds_nothing() -> None:
    provider = FakeProvider()
    up(provider)
    provider.log.clear()
    results = execute(up_plan(provider, None), Told())
    assert {result.step for result in results if result.outcome is Outcome.ALREADY} == {
        "lab",
        "plugin",
        "migrate",
        "pods",
    }
    assert not [entry for entry in provider.log if "uplink migrate" in entry or "add" in entry]


def test_what_is_missing_is_added_and_a_dead_pod_is_replaced() -> None:
    provider = FakeProvider()
    up(provider)
    provider.pods["pod2"] = dataclasses.replace(provider.pods["pod2"], running=False)
    del provider.pods["pod3"]
    provider.log.clear()
    up(provider)
    added = {entry for entry in provider.log if "pod" in entry}
    assert added == {"rm pod2", "worker1: add pod2", "master: add pod3"}


def test_a_pod_that_fails_check_is_made_anew() -> None:
    provider = FakeProvider()
    up(provider)
    provider.machines["worker1"].faulty = ["id-pod2"]
    provider.log.clear()
    up(provider)
    assert [entry for entry in provider.log if "pod" in entry] == ["rm pod2", "worker1: add pod2"]


def test_a_pod_without_an_address_takes_back_the_migration_and_the_lab() -> None:
    provider = FakeProvider()
    provider.no_address_for = "pod2"
    with pytest.raises(StepError, match="pods failed: pod2 got no address") as caught:
        up(provider)
    assert caught.value.exit_code == 1
    tail = [entry for entry in provider.log if "rollback" in entry or entry in ("rm pod1", "destroy")]
    assert tail[-1] == "destroy"
    assert {"rm pod1", "master: uplink rollback", "worker1: uplink rollback"} < set(tail)
    assert not provider.exists()


def test_what_was_there_before_is_not_taken_back() -> None:
    provider = FakeProvider(parse("version: 1\npods: {count: 1}\n", "test.yaml"))
    up(provider)
    provider.config = parse("version: 1\npods: {count: 3}\n", "test.yaml")
    provider.no_address_for = "pod3"
    with pytest.raises(StepError):
        up(provider)
    assert provider.exists()
    assert set(provider.pods) == {"pod1"}
    assert not [entry for entry in provider.log if "rollback" in entry]


def test_a_node_that_is_not_reached_is_not_confirmed() -> None:
    provider = FakeProvider()
    provider.workstation.answers = False
    with pytest.raises(StepError, match="does not answer at") as caught:
        up(provider)
    assert "guard" in caught.value.hint
    assert not [entry for entry in provider.log if "confirm" in entry]


def test_a_failed_verification_is_exit_code_3_and_keeps_the_environment() -> None:
    provider = FakeProvider()
    with pytest.raises(VerificationError, match="0 of 1 check passed") as caught:
        up(provider, BAD)
    assert caught.value.exit_code == 3
    assert caught.value.cause == "it has one: it has none"
    assert provider.exists()


def test_a_machine_that_is_not_ready_is_told_everything_at_once() -> None:
    findings = [
        Finding("dnsmasq", "error", "dnsmasq is not installed", "apt-get install dnsmasq-base", ("true",)),
        Finding("nft", "error", "nft is not installed", "apt-get install nftables"),
        Finding("kvm", "warning", "no /dev/kvm"),
    ]
    with pytest.raises(NotReadyError) as caught:
        require(findings)
    assert caught.value.cause.splitlines() == [
        "dnsmasq is not installed: apt-get install dnsmasq-base",
        "nft is not installed: apt-get install nftables",
    ]
    assert "doctor --fix" in caught.value.hint


def test_a_warning_does_not_stand_in_the_way() -> None:
    assert "1 of them with a warning" in require([Finding("a", "ok", "a"), Finding("b", "warning", "b")])


def test_what_takes_minutes_is_shown_action_by_action() -> None:
    provider = FakeProvider()
    provider.slow = True
    results = execute(up_plan(provider, None), Told())
    assert [(result.step, result.detail) for result in results[1:3]] == [
        ("machine", "machines"),
        ("kubeadm", "a cluster"),
    ]
    again = [
        result.step
        for result in execute(up_plan(provider, None), Told())
        if result.outcome is Outcome.ALREADY
    ]
    assert again == ["machine", "kubeadm", "plugin", "migrate", "pods"]


@pytest.mark.parametrize("there", [False, True])
def test_when_a_part_fails_all_parts_are_taken_back_unless_they_were_there_before(there: bool) -> None:
    provider = FakeProvider()
    provider.slow = True
    if there:
        up(provider)
        provider.log.clear()
    provider.no_cluster = True
    with pytest.raises(StepError, match="kubeadm failed: no cluster comes up"):
        up(provider)
    assert ("destroy" in provider.log, provider.exists()) == (not there, there)
