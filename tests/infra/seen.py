"""What a pod sees, asked by one command: its interface, its routes, who answers it, what a name leads to.

Commands cost more than what they find out: entering a namespace is a process, entering a machine a round
trip. So everything that the tests compare is asked at once, and each test looks at its part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

_PING = "for a in {}; do ping -n -q -c 1 -i 0.2 -w 2 $a >/dev/null 2>&1 && echo $a & done; wait"
_LOOK = """echo "addresses $(ip -j -4 addr show eth0)"
echo "link $(ip -j link show eth0)"
echo "routes $(ip -j -4 route show default)"
echo "resolved $(getent ahostsv4 {} | head -n 1)"
"""


@dataclass(frozen=True)
class Seen:
    """``held`` are the pod's addresses as CIDR, ``gateways`` those of its default routes, ``resolved`` an
    address.
    """

    held: tuple[str, ...]
    mac: str
    gateways: tuple[str, ...]
    resolved: str
    answered: frozenset[str]

    @classmethod
    def by(cls, pod: Host, targets: Iterable[object], name: str) -> Seen:
        """Ask ``pod``: every target is pinged at once, answered within 2 s or not at all."""
        said = pod.check_output(_LOOK.format(name) + _PING.format(" ".join(map(str, targets))))
        facts = dict(line.partition(" ")[::2] for line in said.splitlines())
        answered = facts.keys() - {"addresses", "link", "routes", "resolved"}
        (link,) = json.loads(facts["link"])
        held = [entry for one in _listed(facts["addresses"]) for entry in one.get("addr_info", ())]
        return cls(
            held=tuple(f"{entry['local']}/{entry['prefixlen']}" for entry in held),
            mac=link["address"],
            gateways=tuple(route.get("gateway", "") for route in _listed(facts["routes"])),
            resolved=facts["resolved"].partition(" ")[0],
            answered=frozenset(answered),
        )


def _listed(text: str) -> list[dict[str, Any]]:
    """What ``ip -j`` listed; nothing at all when there was nothing to list."""
    return list(json.loads(text or "[]"))


def unreached(source: Host, addresses: Iterable[object]) -> set[str]:
    """Those of the addresses that do not answer within 2 s; all are asked at once, by one command."""
    asked = {str(address) for address in addresses}
    return asked - set(source.check_output(_PING.format(" ".join(sorted(asked)))).split())
