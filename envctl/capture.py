"""Captures on several machines at once, as one stream of frames: tcpdump where the interface is, everything else here.

Works on every node that runs commands, over ssh too: tcpdump writes pcap to its standard output.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envctl.errors import UsageError
from envctl.packets import words
from envctl.pcapng import Frame, PcapStream
from envctl.tcpdump import Dump

if TYPE_CHECKING:
    from envctl.node import Node
    from envctl.providers.base import Provider

DHCP = "udp port 67 or udp port 68"
REST_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """An interface of a machine or a pod; ``name`` is how captures call it, ``master:eth0``."""

    node: Node
    device: str

    @property
    def name(self) -> str:
        return f"{self.node.name}:{self.device}"


def places(provider: Provider, where: Sequence[str]) -> list[Place]:
    """``host``, the name of the NIC, the name of the bridge, ``pod`` (every pod) or a pod's name. Raises UsageError."""
    config = provider.config
    nic, bridge = config.uplink.interface, config.bridge
    pods = {pod.name: pod for pod in provider.pod_list() if pod.running}
    found: list[Place] = []
    for word in where or ("host", nic, bridge):
        if word == "host":
            found.append(Place(provider.host(), provider.host_interface))
        elif word in (nic, bridge):
            found += [Place(node, word) for node in provider.nodes() if _has(node, word)]
        elif word == "pod" or word in pods:
            found += [Place(provider.pod_node(name), "eth0") for name in pods if word in ("pod", name)]
        else:
            raise UsageError(
                f"there is no {word} to capture on",
                hint=f"There are: host, {nic}, {bridge}, pod, {', '.join(pods)}",
            )
    if not found:
        raise UsageError(
            "there is nothing to capture on", cause=f"no interface is there for {', '.join(where)}"
        )
    return found


def _has(node: Node, device: str) -> bool:
    return node.run("test -e %s", f"/sys/class/net/{device}", check=False).exit_status == 0


@dataclass(slots=True)
class _Source:
    place: Place
    dump: Dump
    stream: PcapStream = field(default_factory=PcapStream)

    def frames(self, data: bytes) -> list[Frame]:
        return [Frame(self.place.name, at, frame, words(frame)) for at, frame in self.stream.feed(data)]


class Recorder:
    """tcpdumps on ``places``, from the moment that all of them listen. A context manager; :meth:`frames` reads.

    One that ends by itself, as with its interface, is left out from then on; ``ended`` is told where, and what it said.
    """

    def __init__(
        self, places: Sequence[Place], expression: str = "", ended: Callable[[Place, str], None] | None = None
    ) -> None:
        self._sources: list[_Source] = []
        self._ended = ended or (lambda _place, _said: None)
        try:
            for place in places:
                self._sources.append(_start(place, expression))
            for source in self._sources:
                source.dump.wait_until_it_listens()
        except BaseException:
            self.close()
            raise

    def frames(self, until: float | None = None, stop: int | None = None) -> Iterator[Frame]:
        """Frames as they come, until the monotonic time ``until``, until the descriptor ``stop`` is readable, or until
        no tcpdump is left.
        """
        while open_ones := {source.dump.out: source for source in self._sources}:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            ready, _, _ = select.select([*open_ones, *([stop] if stop is not None else [])], [], [], left)
            if stop in ready:
                return
            for descriptor in ready:
                data = open_ones[descriptor].dump.read()
                if data:
                    yield from open_ones[descriptor].frames(data)
                else:
                    self._lose(open_ones[descriptor])

    def _lose(self, source: _Source) -> None:
        said = source.dump.last_words()
        source.dump.kill()
        self._sources = [one for one in self._sources if one is not source]
        self._ended(source.place, said)

    @property
    def listening(self) -> bool:
        """Whether any tcpdump is left."""
        return bool(self._sources)

    def rest(self) -> Iterator[Frame]:
        """Frames that are on their way: reads until nothing has come for a moment."""
        quiet = max((source.place.node.lag_s for source in self._sources), default=0.0)
        deadline = time.monotonic() + max(REST_S, 5 * quiet)
        while time.monotonic() < deadline:
            got = list(self.frames(until=time.monotonic() + quiet))
            yield from got
            if not got:
                return

    def close(self) -> None:
        """All tcpdumps have ended."""
        for source in self._sources:
            source.dump.kill()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start(place: Place, expression: str) -> _Source:
    words = ["tcpdump", "-n", "-U", "-s", "0", "--immediate-mode", "-w", "-", "-i", place.device]
    return _Source(place, Dump(place.node, [*words, expression or "ip or not ip"]))
