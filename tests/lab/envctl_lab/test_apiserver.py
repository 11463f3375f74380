"""The apiserver-standin: TLS at the master's address, saying what it is, with one certificate for life."""

from __future__ import annotations

import json

from envctl.providers import lab_machines
from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import a_lab


def ask(lab: Lab, path: str) -> tuple[str, dict[str, object]]:
    """Headers and body of a request from the workstation, with the certificate verified for the address."""
    lab.host().put("/run/ca.pem", lab.apiserver().pem.encode())
    url = f"https://{lab.apiserver().address}:{lab.apiserver().port}{path}"
    head, _, body = (
        lab.host()
        .run("curl -si --max-time 5 --cacert /run/ca.pem %s", url)
        .stdout.replace("\r", "")
        .partition("\n\n")
    )
    return head, json.loads(body)


def test_it_answers_tls_from_the_workstation_and_says_that_it_is_a_stand_in(lab: Lab) -> None:
    assert lab.apiserver().kind == "stand-in"
    head, body = ask(lab, "/version")
    assert "Server: apiserver-standin" in head
    assert head.startswith("HTTP/1.1 503")
    assert body["standin"] is True
    assert body["message"] == "this is the lab's apiserver-standin, not a kube-apiserver"
    assert ask(lab, "/healthz")[0].startswith("HTTP/1.1 200")


def test_a_client_that_says_nothing_keeps_nobody_waiting(lab: Lab) -> None:
    silent = lab.host().run(
        "bash -c %s",
        f"exec 9<>/dev/tcp/{lab.apiserver().address}/{lab.apiserver().port}; "
        f"curl -sk --max-time 5 https://{lab.apiserver().address}:{lab.apiserver().port}/healthz",
    )
    assert json.loads(silent.stdout)["standin"] is True


def test_the_certificate_outlives_a_reboot_and_a_new_process() -> None:
    with a_lab(nodes={"workers": 0}) as lab:
        before = lab.apiserver()
        servers = [
            pid for pid, argv in lab_machines.inside(lab.machine("master").pid) if "apiserver-standin" in argv
        ]
        lab_machines.kill(servers)
        lab.create()
        ask(lab, "/healthz")
        lab.reboot(lab.node("master"))
        ask(lab, "/healthz")
        assert lab.apiserver() == before


def test_a_real_apiserver_leaves_no_place_for_the_stand_in() -> None:
    with a_lab(nodes={"workers": 0}, apiserver={"kind": "real"}) as lab:
        assert lab.apiserver().kind == "real"
        assert ":8443" not in lab.node("master").run("ss -Hltn").stdout
