"""What a pod sees, asked by one command: its interface, its routes, who answers it, what a name leads to.

Commands cost more than what they find out: entering a namespace is a process, entering a machine a round
trip. So everything that the tests compare is asked at once, and each test looks at its part.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from envctl.iproute import ASK, parse

_PING = "for a in {}; do ping -n -q -c 1 -i 0.2 -w 2 $a >/dev/null 2>&1 && echo answered $a & done; wait"
_RESOLVE = """; echo "resolved $(getent ahostsv4 {} | head -n 1)"; """


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
        said = pod.check_output(ASK + _RESOLVE.format(name) + _PING.format(" ".join(map(str, targets))))
        there = parse(said)
        return cls(
            held=tuple(held for held in there.links["eth0"].addresses if ":" not in held),
            mac=there.links["eth0"].mac,
            gateways=tuple(route.gateway for route in there.routes if route.destination == "default"),
            resolved=next(iter(_told("resolved", said)), ""),
            answered=frozenset(_told("answered", said)),
        )


def unreached(source: Host, addresses: Iterable[object]) -> set[str]:
    """Those of the addresses that do not answer within 2 s; all are asked at once, by one command."""
    asked = {str(address) for address in addresses}
    return asked - set(_told("answered", source.check_output(_PING.format(" ".join(sorted(asked))))))


def _told(what: str, said: str) -> list[str]:
    """The second word of every line whose first is ``what``."""
    lines = (line.split() for line in said.splitlines())
    return [words[1] for words in lines if words[:1] == [what] and len(words) > 1]
