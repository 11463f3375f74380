"""Links, addresses and routes of a namespace, from iproute2's one-line output.

Not from its JSON: CentOS 7 has an iproute2 that is older than that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

ASK = "ip -o -d link | sed 's/^/link /'; ip -o addr | sed 's/^/addr /'; ip -4 route | sed 's/^/route /'"
"""One shell command; ``parse`` reads what it prints."""


@dataclass(frozen=True, slots=True)
class Link:
    """``addresses`` with their prefix length, IPv4 before IPv6; ``details`` as ``ip -d link`` words them."""

    name: str
    mac: str = ""
    master: str = ""
    addresses: tuple[str, ...] = ()
    details: str = ""

    def has(self, address: str) -> bool:
        """Whether it holds the address, given without a prefix length."""
        return any(held.partition("/")[0] == address for held in self.addresses)

    def detail(self, name: str) -> str:
        """The word after ``name`` in the details, as in ``stp_state 0``; ``""`` when it is not there."""
        return _after(name, self.details)


@dataclass(frozen=True, slots=True)
class Route:
    """An IPv4 route of the main table; ``destination`` may be ``default``."""

    destination: str
    dev: str
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Namespace:
    """What is in it."""

    links: dict[str, Link]
    routes: tuple[Route, ...]

    def holders(self, address: str) -> list[str]:
        """The links that hold an address."""
        return [name for name, link in self.links.items() if link.has(address)]


def parse(said: str) -> Namespace:
    """Read what ``ASK`` prints; other lines are passed over."""
    links: dict[str, Link] = {}
    routes: list[Route] = []
    for line in said.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "link":
            link = _link(rest)
            links[link.name] = link
        elif kind == "addr":
            _, name, _, address, *_ = rest.split()
            links[name] = replace(links[name], addresses=(*links[name].addresses, address))
        elif kind == "route":
            routes.append(Route(rest.split()[0], _after("dev", rest), _after("via", rest)))
    return Namespace(links, tuple(routes))


def _link(line: str) -> Link:
    name = line.split(": ", 2)[1].partition("@")[0]
    return Link(name, _after(r"link/\w+", line), _after("master", line), (), line)


def _after(word: str, line: str) -> str:
    found = re.search(rf"(?:^|\s){word} (\S+)", line)
    return found[1] if found else ""
