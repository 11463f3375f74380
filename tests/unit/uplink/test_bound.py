"""Who listens on the NIC by its name is told before it becomes a port."""

from __future__ import annotations

from brdhcp.uplink.bound import parse
from brdhcp.uplink.plan import plan

from tests.unit.uplink.node import view

SS = """\
udp   UNCONN 0  0   0.0.0.0%eth0:67   0.0.0.0:*  users:(("dnsmasq",pid=7,fd=4),("dnsmasq",pid=8,fd=4))
udp   UNCONN 0  0   0.0.0.0%eth01:68  0.0.0.0:*  users:(("other",pid=9,fd=4))
tcp   LISTEN 0  5   *%eth0:8053       *:*
tcp   LISTEN 0  5   [fe80::1]%eth0:53 [::]:*     users:(("named",pid=3,fd=4))
tcp   LISTEN 0  5   0.0.0.0:22        0.0.0.0:*  users:(("sshd",pid=1,fd=4))
"""


def test_sockets_bound_to_the_nic_are_found_with_their_programs() -> None:
    assert parse(SS, "eth0") == ("udp 0.0.0.0%eth0:67 (dnsmasq)", "tcp *%eth0:8053 (of a program unknown)")


def test_the_plan_names_them_with_the_bridge_to_bind_to() -> None:
    (warning,) = plan(view(bound=("udp 0.0.0.0%eth0:67 (dnsmasq)",))).warnings
    assert "udp 0.0.0.0%eth0:67 (dnsmasq) is bound to eth0" in warning and "mybr0" in warning
