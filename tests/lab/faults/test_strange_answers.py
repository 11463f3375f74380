"""Servers that answer slowly, twice, wrongly, or with lies: an address for the pod, or a reason for the runtime."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.agent.rig import NOTE, Rig
from tests.lab.faults.both import Server, agree, end
from tests.lab.lan import until

_numbers = itertools.count()
Lab = tuple[Rig, Server]


def name() -> str:
    return f"pod{next(_numbers)}"


@pytest.mark.parametrize(
    "mode",
    [
        {"delay_s": 1.2}, {"serial_s": 1.3}, {"copies": 3}, {"wrong_xid": True}, {"wrong_chaddr": True},
        {"garbage": True},
        {"lease_s": 0xFFFFFFFF}, {"lease_s": 3600, "t1_s": 3000, "t2_s": 100},
        {"lease_s": 60, "t1_s": 500, "t2_s": 900},
    ],
    ids=lambda mode: "-".join(f"{key}={value}" for key, value in mode.items()),
)  # fmt: skip
def test_the_pod_gets_its_address_all_the_same(strange: Lab, mode: dict[str, Any]) -> None:
    node, server = strange
    server.mode(**mode)
    pod = name()
    address = node.add(pod).address
    node.lan.host.run(f"ping -c 1 -W 5 {address}")
    server.mode()
    end(node, pod)
    assert node.events("bug") == []


@pytest.mark.parametrize("mode", [{"lease_s": 0}, {"lying": True}], ids=lambda mode: next(iter(mode)))
def test_what_is_no_lease_is_refused_with_a_reason_and_leaves_nothing(
    strange: Lab, mode: dict[str, Any]
) -> None:
    """A lease time of zero; an option that claims to be longer than the message."""
    node, server = strange
    server.mode(**mode)
    pod = name()
    node.pod(pod)
    answer = node.cni("ADD", pod, {**NOTE, "acquireTimeout": 1})
    assert (answer.status, answer.json["code"]) == (1, 11)
    assert "lease_s" not in mode or "lease time of zero" in answer.stdout
    server.mode()
    agree(node)


def test_of_two_pods_that_are_offered_the_same_address_at_once_one_gets_it_and_the_other_another(
    strange: Lab,
) -> None:
    """As dnsmasq does it, which remembers no offers: both probe for the address, and the server decides."""
    node, server = strange
    server.mode(forgetful=True, delay_s=0.3)
    names = [name(), name()]
    declined, refused = len(node.events("lease-declined")), len(node.events("lease-refused"))
    with ThreadPoolExecutor(2) as pool:
        addresses = {answer.address for answer in pool.map(node.add, names)}
    assert len(addresses) == 2
    assert len(node.events("lease-refused")) == refused + 1
    assert len(node.events("lease-declined")) == declined
    server.mode()
    end(node, *names)


def test_a_server_too_slow_for_the_patience_is_named_and_has_its_address_back(strange: Lab) -> None:
    node, server = strange
    server.mode(serial_s=0.7)
    pod = name()
    node.pod(pod)
    answer = node.cni("ADD", pod, {**NOTE, "acquireTimeout": 2})
    assert (answer.status, answer.json["code"]) == (1, 11)
    assert "acquireTimeout" in answer.json["msg"]
    server.mode()
    until(lambda: server.seen("RELEASE"), what="the server has read what was sent to it", within=30)
    agree(node)
    assert node.cni("ADD", pod, {**NOTE, "acquireTimeout": 10}).status == 0
    end(node, pod)


def test_a_server_that_is_down_at_add_is_named_as_the_reason_and_the_next_try_succeeds(strange: Lab) -> None:
    node, server = strange
    server.mode(silent=["DISCOVER"])
    pod = name()
    node.pod(pod)
    answer = node.cni("ADD", pod, {**NOTE, "acquireTimeout": 1})
    assert (answer.status, answer.json["code"]) == (1, 11)
    agree(node)
    server.mode()
    assert node.cni("ADD", pod).status == 0
    end(node, pod)


def test_a_server_that_dies_between_offer_and_ack_keeps_no_address(strange: Lab) -> None:
    node, server = strange
    server.mode(silent=["REQUEST"])
    pod = name()
    node.pod(pod)
    assert node.cni("ADD", pod, {**NOTE, "acquireTimeout": 1}).json["code"] == 11
    agree(node)
    server.mode()
    assert node.cni("ADD", pod).status == 0
    end(node, pod)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"router": "172.16.91.254"}, '"gateway": "172.16.91.254"'), ({"mask": "255.255.0.0"}, '"prefixlen": 16'),
        ({"dns": "172.16.91.254"}, ""), ({"address": "172.16.91.200"}, '"local": "172.16.91.200"'),
    ],
)  # fmt: skip
def test_what_comes_back_changed_is_applied_to_the_pod(
    strange: Lab, change: dict[str, str], shown: str
) -> None:
    node, server = strange
    pod = name()
    node.add(pod)
    before = len(node.events("lease-changed"))
    server.mode(**change)
    node.ctl("renew")
    until(lambda: len(node.events("lease-changed")) > before, what="the change is noticed")

    def kernel() -> str:
        parts = (json.loads(node.lan.node.run(f"ip -n {pod} -j {what}").stdout) for what in ("addr", "route"))
        return json.dumps(list(parts))

    until(lambda: shown in kernel(), what=f"the pod's kernel has {shown}")
    if "dns" in change:
        until(lambda: "172.16.91.254" in stored_dns(node), what="the store has the new DNS server")
    end(node, pod)


def stored_dns(node: Rig) -> str:
    return node.lan.node.run("sh -c 'cat /run/state/attachments/*.json'").stdout


def test_a_nak_at_renewal_takes_the_address_away_until_the_server_grants_one(strange: Lab) -> None:
    node, server = strange
    pod = name()
    node.add(pod)
    before = len(node.events("lease-lost"))
    server.mode(nak=True)
    node.ctl("renew")
    until(lambda: len(node.events("lease-lost")) > before, what="the loss is noticed")
    server.mode()
    until(
        lambda: node.events("lease-acquired")[-1]["message"].endswith("again"),
        within=30,
        what="it is granted again",
    )
    until(lambda: [lease["state"] for lease in node.leases()] == ["bound"], what="the store has it")
    end(node, pod)


def test_with_trusted_servers_the_others_are_not_heard(strange: Lab) -> None:
    node, _ = strange
    pod = name()
    node.pod(pod)
    stranger = {**NOTE, "acquireTimeout": 1, "trustedServers": ["172.16.91.9"]}
    assert node.cni("ADD", pod, stranger).json["code"] == 11
    agree(node)
    assert node.cni("ADD", pod, {**NOTE, "trustedServers": ["172.16.91.254"]}).status == 0
    end(node, pod)


def test_release_has_the_address_and_the_client_id_that_the_lease_was_given_for(strange: Lab) -> None:
    """VirtualBox's server takes nothing else."""
    node, server = strange
    pod = name()
    address = node.add(pod).address
    end(node, pod)
    request = server.seen("REQUEST")[-1]
    release = next(seen for seen in server.seen("RELEASE") if seen["mac"] == request["mac"])
    assert release["ciaddr"] == address
    assert (release["client_id"], release["mac"]) == (request["client_id"], request["mac"])
    assert request["client_id"] != ""
