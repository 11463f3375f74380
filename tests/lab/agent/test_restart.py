"""The agent killed, restarted, without a disk, and away when it is needed: nothing is lost and nothing is left."""

from __future__ import annotations

import json
import resource
import shlex
import sys

import pytest
from brdhcp.agent import faults

from tests.lab.agent.rig import NOTE, ROOT, STATE, Rig, rig
from tests.lab.lan import Lan, until

ADD_POINTS = [point for point in faults.POINTS if point.startswith("add: ")]
DEL_POINTS = [point for point in faults.POINTS if point.startswith("del: ")]


def test_a_killed_agent_keeps_every_lease_and_asks_the_server_nothing(node: Rig) -> None:
    addresses = {node.add(f"c{i}").address for i in range(3)}
    asked = node.asked("DHCPDISCOVER"), node.asked("DHCPREQUEST")
    node.kill()
    node.start()
    assert node.events("ready")[0]["kept"] == 3
    assert {lease["address"].partition("/")[0] for lease in node.leases()} == addresses
    assert set(node.lan.server_leases().values()) == addresses
    for i in range(3):
        assert node.cni("DEL", f"c{i}").status == 0
    node.nothing_left()
    assert (node.asked("DHCPDISCOVER"), node.asked("DHCPREQUEST")) == asked


def test_the_agent_may_open_as_many_files_as_the_kernel_lets_it(quiet: Rig) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        quiet.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    pid = quiet.lan.node.run("pgrep -x brdhcpd").stdout.strip()
    shown = quiet.lan.node.run(f"prlimit --pid {pid} --nofile --raw --noheadings -o SOFT,HARD").stdout
    assert shown.split() == [str(hard)] * 2


def test_an_agent_that_ends_in_order_releases_nothing(node: Rig) -> None:
    node.add("web")
    assert node.stop() == 0
    assert node.asked("DHCPRELEASE") == 0
    assert len(node.lan.server_leases()) == 1


@pytest.mark.parametrize("point", ADD_POINTS)
def test_an_add_that_was_cut_off_leaves_nothing_once_the_agent_is_back(quiet: Rig, point: str) -> None:
    quiet.start(fault=point)
    quiet.pod("web")
    answer = quiet.cni("ADD", "web")
    assert (answer.status, answer.json["code"]) == (1, 11)
    assert quiet.agent is not None
    quiet.agent.wait(timeout=20)
    quiet.start()
    if point == "add: lease on disk":
        # Promised and on disk, but never answered: the runtime's DEL ends it.
        assert quiet.cni("DEL", "web").status == 0
    quiet.nothing_left()
    assert quiet.cni("ADD", "web").status == 0
    assert len(quiet.lan.server_leases()) == 1


def test_an_add_that_is_given_up_while_a_thread_makes_its_link_leaves_nothing(quiet: Rig) -> None:
    """As at the deadline, or when the agent ends; the bridge holds the port back, so there is time for it."""
    quiet.lan.node.ip("link set dev mybr0 type bridge stp_state 1 forward_delay 3000")
    assert cut_off(quiet, "link") == {"cancelled": True, "links": [], "records": 0}
    assert "eth0" not in quiet.lan.node.run("ip -n web link").stdout


def test_an_add_that_is_given_up_while_the_granted_address_is_probed_gives_it_back(quiet: Rig) -> None:
    assert cut_off(quiet, "lease") == {"cancelled": True, "links": [], "records": 0}
    assert quiet.asked("DHCPACK") == 1
    quiet.nothing_left()


def cut_off(node: Rig, when: str) -> dict[str, object]:
    """What an ADD leaves that is cancelled then (see the module of that name)."""
    module = f"env PYTHONPATH={ROOT}:{ROOT}/plugin {sys.executable} -m tests.lab.agent.cut_off"
    return dict(json.loads(node.lan.node.run(f"{module} {node.pod('web')} {STATE} {when}").stdout))


INTENTS = """
import json, sys
from pathlib import Path
from brdhcp.store.leases import Attachment, Store
store = Store(Path(sys.argv[1]))
for number in range(60):
    store.save(Attachment(
        network="mycninet", container_id=f"c{number}", if_name="eth0", bridge="mybr0", veth=f"veth{number:08x}",
        mac=f"02:00:5e:00:78:{number:02x}", client_id=f"00{number:02x}", netconf=sys.argv[2], created_at=1.0,
    ))
store.close()
"""


def test_sixty_adds_that_were_cut_off_do_not_keep_the_agent_from_its_work_while_no_server_answers() -> None:
    with rig(serve=False) as node:
        note = json.dumps(NOTE)
        node.lan.node.run(f"{sys.executable} - {STATE} {shlex.quote(note)}", stdin=INTENTS)
        node.start()
        assert node.cni("STATUS", "", {**NOTE, "cniVersion": "1.1.0"}).status == 0
        until(lambda: node.leases() == [], within=60, what="all of them are ended")
        assert node.events("bug") == []


def test_the_socket_of_an_agent_that_came_after_is_not_taken_away(node: Rig) -> None:
    socket = "/run/brdhcp/agent.sock"
    node.lan.node.run(f"sh -c 'mv {socket} {socket}.old; echo other >{socket}'")
    assert node.stop() == 0
    assert node.lan.node.run(f"cat {socket}").stdout == "other\n"


@pytest.mark.parametrize("point", DEL_POINTS)
def test_a_del_that_was_cut_off_is_finished_by_the_next_agent(quiet: Rig, point: str) -> None:
    quiet.start(fault=point)
    quiet.add("web")
    answer = quiet.cni("DEL", "web")
    assert answer.status == 0, "the shim wrote it down for the next agent"
    quiet.start()
    quiet.nothing_left()


def test_a_del_while_the_agent_is_away_is_remembered_and_done(node: Rig) -> None:
    node.add("web")
    node.kill()
    assert node.cni("DEL", "web").status == 0
    node.lan.node.run("ip netns del web")
    assert len(node.lan.server_leases()) == 1
    node.start()
    node.nothing_left()


def test_a_del_that_waited_is_not_done_to_an_add_that_came_after_it(node: Rig) -> None:
    address = node.add("web").address
    node.kill()
    assert node.cni("DEL", "web").status == 0
    node.lan.node.run(f"sh -c 'touch -d \"1 hour ago\" {STATE}/spool/*.del'")
    node.start()
    assert [lease["address"].partition("/")[0] for lease in node.leases()] == [address]
    assert len(node.events("del-outdated")) == 1
    node.lan.host.run(f"ping -c 1 -W 5 {address}")
    assert node.lan.node.run(f"ls {STATE}/spool").stdout == ""
    assert node.cni("DEL", "web").status == 0
    node.nothing_left()


def test_without_an_agent_add_says_try_again_and_how_to_start_it(quiet: Rig) -> None:
    quiet.pod("web")
    answer = quiet.cni("ADD", "web")
    assert (answer.status, answer.json["code"]) == (1, 11)
    assert "systemctl start brdhcpd" in answer.json["details"]
    assert quiet.cni("STATUS", "", {**NOTE, "cniVersion": "1.1.0"}).json["code"] == 50


def test_after_a_reboot_dead_sandboxes_give_their_leases_back(node: Rig) -> None:
    node.add("web")
    node.kill()
    node.lan.node.run("ip netns del web")
    node.lan.node.run(
        "sh -c 'echo another-boot >/run/boot_id; mount --bind /run/boot_id /proc/sys/kernel/random/boot_id'"
    )
    node.start()
    node.nothing_left()
    assert node.events("reconciled")


def test_a_namespace_that_vanished_without_del_gives_its_lease_back(node: Rig) -> None:
    node.add("web")
    node.lan.node.run("ip netns del web")
    assert node.ctl("gc") == {"released": 1}
    node.nothing_left()


def test_with_a_full_disk_add_fails_with_code_5_and_leaves_nothing(quiet: Rig) -> None:
    quiet.lan.node.run(f"sh -c 'mkdir -p {STATE}; mount -t tmpfs -o size=64k tmpfs {STATE}'")
    quiet.start()
    quiet.pod("web")
    quiet.lan.node.run(f"sh -c 'head -c 70000 /dev/zero >{STATE}/filler'", check=False)
    answer = quiet.cni("ADD", "web")
    assert (answer.status, answer.json["code"]) == (1, 5)
    assert "No space left" in answer.json["msg"]
    quiet.lan.node.run(f"rm {STATE}/filler")
    quiet.nothing_left()
    assert quiet.cni("ADD", "web").status == 0


def test_a_disk_that_fills_up_during_add_gives_the_lease_back(quiet: Rig) -> None:
    """The intent fits, the lease does not: what was acquired meanwhile is undone."""
    quiet.lan.node.run(f"sh -c 'mkdir -p {STATE}; mount -t tmpfs -o size=64k,nr_inodes=40 tmpfs {STATE}'")
    quiet.start()
    quiet.pod("web")
    room = (
        f"head -c $(( $(stat -f -c %a {STATE}) * $(stat -f -c %S {STATE}) - 4096 )) /dev/zero >{STATE}/filler"
    )
    quiet.lan.node.run(f"sh -c '{room}'")
    answer = quiet.cni("ADD", "web")
    assert (answer.status, answer.json["code"]) == (1, 5)
    quiet.lan.node.run(f"rm {STATE}/filler")
    quiet.cni("DEL", "web")
    quiet.nothing_left()


def test_a_damaged_record_is_set_aside_and_the_others_are_kept(node: Rig) -> None:
    for name in ("good", "bad"):
        node.add(name)
    node.kill()
    path = node.lan.node.run(f"sh -c 'ls {STATE}/attachments/bad*'").stdout.strip()
    node.lan.node.run(f"sh -c 'echo nonsense >{path}'")
    node.start()
    damaged = node.events("record-damaged")
    assert len(damaged) == 1
    assert ".damaged" in damaged[0]["message"]
    assert [lease["container"] for lease in node.leases()] == ["good"]


def test_a_lease_is_renewed_from_the_pods_own_address(quiet: Rig) -> None:
    quiet.start()
    address = quiet.add("web").address
    assert quiet.ctl("renew") == {"asked": 1}
    until(lambda: quiet.events("lease-renewed"), what="the lease is renewed")
    assert quiet.events("lease-renewed")[0]["address"] == address
    assert quiet.asked("DHCPDISCOVER") == 1
    assert quiet.events("lease-lost") == []


def test_a_lease_that_comes_back_with_another_router_is_applied_to_the_pod(quiet: Rig) -> None:
    quiet.start()
    quiet.add("web")
    restart_server(quiet, "--dhcp-option-force=option:router,172.16.91.254")
    quiet.ctl("renew")
    until(lambda: quiet.events("lease-changed"), what="the change is noticed")
    until(
        lambda: "172.16.91.254" in quiet.lan.node.run("ip -n web route").stdout,
        what="the pod has the new router",
    )
    routes = json.loads(quiet.lan.node.run("ip -n web -j route").stdout)
    assert [route["gateway"] for route in routes if route["dst"] == "default"] == ["172.16.91.254"]


def test_a_lease_that_is_refused_at_renewal_is_lost_until_the_server_grants_it_again(quiet: Rig) -> None:
    quiet.start()
    result = quiet.add("web", {**NOTE, "cniVersion": "1.1.0"}).json
    quiet.lan.router.run("rm /run/dnsmasq.leases")
    restart_server(quiet, "--dhcp-range=172.16.91.60,172.16.91.61,120")
    quiet.ctl("renew")
    until(lambda: quiet.events("lease-lost"), what="the loss is noticed")
    granted = ("172.16.91.60/24", "172.16.91.61/24")
    until(lambda: quiet.leases()[0]["address"] in granted, within=30, what="another address is granted")
    check = quiet.cni("CHECK", "web", {**NOTE, "cniVersion": "1.1.0", "prevResult": result})
    assert check.json["code"] == 102


def restart_server(node: Rig, *options: str) -> None:
    """The DHCP server again, with other options."""
    if node.lan.server is not None:
        node.lan.router.run("pkill -KILL dnsmasq", check=False)
        node.lan.server.wait()
    node.lan.start_dnsmasq(120, options)


def test_a_bridge_that_was_made_anew_gets_its_pods_back(node: Rig) -> None:
    config = {**NOTE, "hairpinMode": True, "portIsolation": True}
    address = node.add("web", config).address
    veth = next(name for name in node.links() if name.startswith("veth"))
    node.kill()
    node.lan.node.ip(
        "link del mybr0",
        f"link add mybr0 address {Lan.NODE_MAC} type bridge stp_state 0 forward_delay 0",
        "link set dev eth0 master mybr0",
        "addr add 172.16.91.10/24 dev mybr0",
        "link set dev mybr0 up",
    )
    assert "master mybr0" not in node.lan.node.run(f"ip link show dev {veth}").stdout
    node.start("--reconcile", "0.2")
    until(lambda: node.events("port-replugged"), what="the pod is plugged in again")
    port = node.lan.node.run(f"bridge -d link show dev {veth}").stdout
    assert "hairpin on" in port and "isolated on" in port, (
        "what its configuration wants of the port is there again"
    )
    node.lan.host.run(f"ping -c 1 -W 5 {address}")


def test_an_add_that_fails_takes_away_the_bridge_that_it_made(node: Rig) -> None:
    node.pod("web")
    answer = node.cni("ADD", "web", {**NOTE, "bridge": "br9", "acquireTimeout": 0.5})
    assert answer.json["code"] == 11
    assert "br9 has no uplink" in answer.json["details"]
    node.nothing_left()
