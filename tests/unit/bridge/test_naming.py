"""Names that follow from who the pod is."""

from __future__ import annotations

import pytest
from brdhcp.bridge import naming


def test_names_and_macs_are_the_same_every_time_and_differ_between_pods() -> None:
    who = [(c, i, n) for c in ("c1", "c2") for i in ("eth0", "net1") for n in ("a", "b")]
    assert len({naming.pod_mac(*one) for one in who}) == len(who)
    assert len({naming.veth_name(c, i) for c, i, _ in who}) == 4
    assert naming.pod_mac("c1", "eth0", "a") == naming.pod_mac("c1", "eth0", "a")
    assert naming.veth_name("c1", "eth0") == "vethd72e032f"


@pytest.mark.parametrize("number", range(50))
def test_macs_are_local_unicast_and_a_port_never_lowers_the_bridges(number: int) -> None:
    pod = naming.pod_mac(f"c{number}", "eth0", "n")
    bridge = naming.bridge_mac("mybr0", f"boot{number}")
    port = naming.port_mac(f"c{number}", "eth0")
    for mac in (pod, bridge, port):
        assert len(mac) == 17
        assert int(mac[:2], 16) & 3 == 2
    assert port.startswith("fe:")
    assert len(naming.veth_name(f"c{number}", "eth0")) <= 15


def test_the_client_id_is_what_the_configuration_chose() -> None:
    def chosen(choice: str) -> bytes:
        return naming.client_id(
            choice,
            container_id="c1",
            network="n",
            if_name="eth0",
            mac="02:00:00:00:00:01",
            pod="default/web-0",
        )

    assert chosen("container") == b"\0c1/n/eth0"
    assert chosen("mac") == b"\x01\x02\0\0\0\0\x01"
    assert chosen("pod") == b"\0default/web-0/eth0"
    assert chosen("printer") == b"\0printer"
    assert chosen("01:02:ff") == b"\x01\x02\xff"
    assert chosen("zz:02:ff") == b"\0zz:02:ff"
    assert len(chosen("x" * 400)) == 255
