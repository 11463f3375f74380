"""What the server has in its books about the node: one client, one address, before, during and after the migration."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.lan import Lan, until
from tests.lab.uplink.rig import by_dhclient, uplink

LEASES = "/run/dhcpd.leases"
DHCPD = """\
authoritative; default-lease-time 10; max-lease-time 10; min-lease-time 10; ping-check false;
subnet 172.16.91.0 netmask 255.255.255.0 { range 172.16.91.128 172.16.91.140; option routers 172.16.91.2; }
"""
DHCLIENT = "dhclient -4 -v -lf /run/dhclient.leases -pf /run/dhclient.pid"
CLIENTS = {
    "by its MAC": f"{DHCLIENT} -cf /dev/null eth0",
    "by a name": f"""sh -c 'echo "send dhcp-client-identifier \\"the-node\\";" >/run/dhclient.conf
                     exec {DHCLIENT} -cf /run/dhclient.conf eth0'""",
    "by its DUID": f"{DHCLIENT} -i -cf /dev/null eth0",
}


@pytest.fixture(params=CLIENTS)
def lan(request: pytest.FixtureRequest) -> Iterator[Lan]:
    """ISC dhcpd, which writes down the identifiers of its clients and grants ten seconds."""
    with Lan(serve=False) as made:
        router = made.router
        router.run(f"sh -c 'cat >/run/dhcpd.conf; : >{LEASES}'", stdin=DHCPD)
        server = router.spawn(f"dhcpd -f -4 -q -cf /run/dhcpd.conf -lf {LEASES} --no-pid eth0")
        until(lambda: ":67 " in router.run("ss -Hlun").stdout, what="dhcpd listens")
        agent = by_dhclient(made, CLIENTS[request.param])
        try:
            yield made
        finally:
            made.close()
            server.wait()
            agent.wait()


def books(lan: Lan) -> list[str]:
    """Every lease block that the server ever wrote, oldest first."""
    text = lan.router.run(f"cat {LEASES}").stdout
    return re.findall(r"^lease .*?^\}", text, re.MULTILINE | re.DOTALL)


def known(block: str) -> tuple[str, ...]:
    """Address, MAC, identifier."""
    patterns = (r"^lease (\S+)", r"hardware ethernet (\S+);", r"uid (.*);")
    return tuple(found[1] if (found := re.search(pattern, block)) else "" for pattern in patterns)


def test_the_server_knows_one_client_with_one_address_all_the_time(lan: Lan) -> None:
    (client,) = set(map(known, books(lan)))
    assert client[1] == Lan.NODE_MAC
    uplink(lan, "migrate --confirm-within 60 --persist none")
    uplink(lan, "confirm")
    before = len(books(lan))
    until(lambda: len(books(lan)) >= before + 3, within=40, what="the agent renewed the lease three times")
    assert set(map(known, books(lan))) == {client}
    uplink(lan, "rollback")
    back = len(books(lan))
    until(lambda: len(books(lan)) > back, within=40, what="dhclient renewed the lease")
    assert set(map(known, books(lan))) == {client}
