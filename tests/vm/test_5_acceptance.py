"""The acceptance suite of the lab, the same files, against the machine."""

from __future__ import annotations

from envctl.verify import run_suite
from tests.vm.conftest import Machine


def test_the_acceptance_suite_passes(vm: Machine) -> None:
    vm.pods()
    report = run_suite(vm.provider)
    failed = [f"{check.title}: {check.message}" for check in report.checks if check.failed]
    assert report.passed, "\n".join([report.summary(), *failed])
