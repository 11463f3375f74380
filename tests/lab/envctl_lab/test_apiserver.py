"""The apiserver-standin: TLS at the master's address, saying what it is, with one certificate for life."""

from __future__ import annotations

import json
import subprocess

from envctl.providers import lab_machines
from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import a_lab, fetch
from tests.lab.lan import until


def ask(lab: Lab, path: str) -> tuple[int, str, dict[str, object]]:
    """Status, server and body of a request from the workstation, with the certificate verified for the address."""
    there = lab.apiserver()
    lab.host().put("/run/ca.pem", there.pem.encode())
    status, server, body = fetch(lab.host(), f"https://{there.address}:{there.port}{path}", "/run/ca.pem")
    return status, server, json.loads(body)


def test_it_answers_tls_from_the_workstation_and_says_that_it_is_a_stand_in(lab: Lab) -> None:
    assert lab.apiserver().kind == "stand-in"
    status, server, body = ask(lab, "/version")
    assert (status, server) == (503, "apiserver-standin")
    assert body["standin"] is True
    assert body["message"] == "this is the lab's apiserver-standin, not a kube-apiserver"
    assert ask(lab, "/healthz")[0] == 200


def test_a_client_that_says_nothing_keeps_nobody_waiting(lab: Lab) -> None:
    silent = "import socket, sys; s = socket.create_connection(('172.16.91.10', 8443)); sys.stdin.read()"
    with subprocess.Popen(
        lab.host().argv("exec python3 -I -S -c %s", silent), stdin=subprocess.PIPE, process_group=0
    ) as client:
        until(lambda: "ESTAB" in lab.host().run("ss -Htn dport = :8443").stdout, what="a silent client")
        assert ask(lab, "/healthz")[0] == 200
        client.communicate()


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
