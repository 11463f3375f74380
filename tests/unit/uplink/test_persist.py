"""Configuration files before and after: the bridge gets what the NIC had, and the way back is exact."""

from __future__ import annotations

from pathlib import Path

import pytest
from brdhcp.errors import UplinkRefused
from brdhcp.uplink import persist

from tests.unit.uplink.node import MAC, view

BEFORE = view().before
DEBIAN = """\
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

allow-hotplug eth0
iface eth0 inet static
    address 172.16.91.10/24
    gateway 172.16.91.2
    up ip route add 192.0.2.0/24 via 172.16.91.1 dev eth0
    up ethtool -K eth0.5 rx off

auto eth0:1 eth1
iface eth0:1 inet static
    address 172.16.91.11/24

iface eth1 inet dhcp
    up echo not eth0
"""


def files(root: Path, **contents: str) -> None:
    for name, text in contents.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_ifupdown_the_stanza_its_aliases_and_its_hooks_become_the_bridges(tmp_path: Path) -> None:
    files(tmp_path, etc__network__interfaces=DEBIAN)
    ((path, text),) = persist.Ifupdown("eth0", "mybr0", tmp_path).files(BEFORE)
    assert path == tmp_path / "etc/network/interfaces"
    lines = [line.strip() for line in text.splitlines()]
    for line in ("auto mybr0", "iface mybr0 inet static", "address 172.16.91.10/24", "auto mybr0:1",
                 "iface mybr0:1 inet static", "up ip route add 192.0.2.0/24 via 172.16.91.1 dev mybr0",
                 "up ethtool -K eth0.5 rx off", "iface eth0 inet manual", "up echo not eth0", "auto eth1"):  # fmt: skip
        assert line in lines, text
    assert "allow-hotplug" not in text


def test_ifupdown_without_bridge_utils_makes_the_bridge_by_commands(tmp_path: Path) -> None:
    files(tmp_path, etc__network__interfaces=DEBIAN)
    ((_, text),) = persist.Ifupdown("eth0", "mybr0", tmp_path).files(BEFORE)
    assert f"ip link add name mybr0 address {MAC} type bridge stp_state 0 forward_delay 0" in text
    assert "pre-up ip link set dev eth0 master mybr0 up" in text
    assert "bridge_ports" not in text


def test_ifupdown_with_bridge_utils_speaks_its_words(tmp_path: Path) -> None:
    files(tmp_path, etc__network__interfaces=DEBIAN)
    hook = tmp_path / "etc/network/if-pre-up.d/bridge"
    hook.parent.mkdir()
    hook.touch()
    ((_, text),) = persist.Ifupdown("eth0", "mybr0", tmp_path).files(BEFORE)
    for option in ("bridge_ports eth0", "bridge_stp off", "bridge_fd 0", f"bridge_hw {MAC}"):
        assert option in text


def test_ifupdown_two_families_in_two_files_make_one_bridge(tmp_path: Path) -> None:
    files(tmp_path, etc__network__interfaces="source /etc/network/interfaces.d/*\niface eth0 inet dhcp\n")
    files(tmp_path, etc__network__interfaces_dot_d__six="iface eth0 inet6 static\n  address fd91::10/64\n")
    (_, first), (_, second) = persist.Ifupdown("eth0", "mybr0", tmp_path).files(BEFORE)
    assert first.count("iface eth0 inet manual") == 1
    assert second == "iface mybr0 inet6 static\n  address fd91::10/64\n"


def test_network_scripts_the_addresses_go_to_the_bridges_file_and_the_port_says_where_it_is(
    tmp_path: Path,
) -> None:
    where = tmp_path / "etc/sysconfig/network-scripts"
    where.mkdir(parents=True)
    (where / "ifcfg-eth0").write_text(
        f"DEVICE=eth0\nHWADDR={MAC}\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nIPADDR=172.16.91.10\nPREFIX=24\n"
        "GATEWAY=172.16.91.2\n"
    )
    (where / "route-eth0").write_text("192.0.2.0/24 via 172.16.91.1 dev eth0\n")
    written = dict(persist.NetworkScripts("eth0", "mybr0", tmp_path).files(BEFORE))
    bridge = written[where / "ifcfg-mybr0"].splitlines()
    for line in (
        "DEVICE=mybr0",
        "TYPE=Bridge",
        "IPADDR=172.16.91.10",
        "GATEWAY=172.16.91.2",
        "DELAY=0",
        "STP=off",
    ):
        assert line in bridge
    assert f"HWADDR={MAC}" not in bridge
    port = written[where / "ifcfg-eth0"].splitlines()
    assert "BRIDGE=mybr0" in port
    assert not [line for line in port if line.startswith(("IPADDR", "GATEWAY", "PREFIX"))]
    assert written[where / "route-mybr0"] == "192.0.2.0/24 via 172.16.91.1 dev mybr0\n"
    assert written[where / "route-eth0"] == ""


def test_what_was_written_is_taken_back_to_the_letter(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("as it was\n")
    old.chmod(0o640)
    former = [(str(path), persist.content(path)) for path in (old, new)]
    persist.write([(old, "changed"), (new, "made")])
    persist.restore(former)
    assert old.read_text() == "as it was\n"
    assert old.stat().st_mode & 0o777 == 0o640
    assert not new.exists()


def test_a_manager_that_would_put_the_address_back_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UplinkRefused, match="NetworkManager, netplan"):
        persist.choose("auto", "eth0", "mybr0", tmp_path, managers=("NetworkManager", "netplan"))


def test_with_nobody_configuring_the_nic_nothing_is_kept(tmp_path: Path) -> None:
    assert persist.choose("auto", "eth0", "mybr0", tmp_path, managers=()).name == "none"
    files(tmp_path, etc__network__interfaces=DEBIAN)
    assert persist.choose("auto", "eth0", "mybr0", tmp_path, managers=()).name == "ifupdown"
    assert persist.choose("none", "eth0", "mybr0", tmp_path).name == "none"
