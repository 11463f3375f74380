"""What Prometheus can ask the agent (docs/reference/metrics.md), opt-in: ``--metrics 127.0.0.1:9473``.

prometheus-client (extra ``metrics``) writes the answer; it is imported only when somebody wants metrics. Requests are
answered in the event loop, so that no thread is added.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from brdhcp.agent.core import Core
from brdhcp.agent.warm import ROLE
from brdhcp.errors import StoreFailure
from brdhcp.store.leases import Attachment

OUTCOMES = {
    "lease-acquired": "acquired", "lease-renewed": "renewed", "lease-changed": "changed", "lease-lost": "lost",
    "lease-released": "released", "release-waits": "not_released", "lease-refused": "refused",
    "lease-declined": "declined", "message-ignored": "ignored", "no-lease": "exhausted",
}  # fmt: skip
"""Events that end a DHCP exchange, and what metrics call that."""
ACTIONS = {
    "reconciled": "ended", "collected": "collected", "del-done": "late_del", "del-failed": "late_del_failed",
    "reconcile-failed": "failed", "record-damaged": "damaged_record", "pool-exhausted": "pool_given_back",
    "guards-restored": "guards_restored", "guards-missing": "guards_not_restored",
}  # fmt: skip
BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 3.0, 10.0, 30.0)
LARGEST_REQUEST = 8192
REQUEST_S = 5.0


def state_of(record: Attachment) -> str:
    """``bound``, ``lost``, ``warm``, ``intent`` or ``releasing``."""
    if record.state == "bound" and record.role == ROLE:
        return "warm"
    return "lost" if record.extra.get("lost") else record.state


def place(address: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``:port`` or ``port``; loopback unless a host is named. Raises ``ValueError``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


class Metrics:
    """The agent's metrics. Raises ``StoreFailure`` when prometheus-client is not installed."""

    def __init__(self, core: Core) -> None:
        self._core = core
        try:
            self._client: Any = importlib.import_module("prometheus_client")
            self._families: Any = importlib.import_module("prometheus_client.core")
        except ImportError as error:
            raise StoreFailure(
                f"--metrics needs prometheus-client: {error}",
                f"give it to {sys.executable} (docs/reference/metrics.md says how), or leave --metrics out",
            ) from error
        self._registry: Any = self._client.CollectorRegistry()
        self._requests: Any = self._client.Histogram(
            "brdhcp_request_seconds", "CNI requests by verb and error code (0: success)", ("verb", "code"),
            buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._registry.register(self)

    def observe(self, verb: str, code: int, seconds: float) -> None:
        """One CNI request (``Verbs.observe``)."""
        if verb:
            self._requests.labels(verb, str(code)).observe(seconds)

    def collect(self) -> Iterator[Any]:
        """What is known elsewhere already, at the moment somebody asks."""
        gauge, counter = self._families.GaugeMetricFamily, self._families.CounterMetricFamily
        leases = gauge("brdhcp_leases", "Attachments by state", labels=("state",))
        states = Counter({"bound": 0, "lost": 0, "warm": 0, "intent": 0, "releasing": 0})
        states.update(state_of(record) for record in self._core.store)
        for state, number in states.items():
            leases.add_metric((state,), number)
        yield leases
        ends = [
            end for record in self._core.store if (end := (record.lease or {}).get("expires")) is not None
        ]
        left = min(ends) - time.time() if ends else float("inf")
        yield gauge(
            "brdhcp_lease_earliest_expiry_seconds", "Until the first lease ends, if not renewed", value=left
        )
        counts = self._core.events.counts
        for name, words, table, label in (
            ("brdhcp_dhcp_exchanges", "DHCP exchanges by outcome", OUTCOMES, "outcome"),
            ("brdhcp_reconcile_actions", "What reconciling did", ACTIONS, "action"),
        ):
            family = counter(name, words, labels=(label,))
            for event, value in table.items():
                family.add_metric((value,), counts[event])
            yield family
        yield counter(
            "brdhcp_bugs", "Exceptions that nobody expected: please report them", value=counts["bug"]
        )

    def text(self) -> bytes:
        """The exposition format."""
        return bytes(self._client.generate_latest(self._registry))

    async def serve(self, address: str) -> asyncio.Server:
        """Answer ``GET /metrics`` at ``address``. Raises ``StoreFailure`` when that cannot be listened at."""
        try:
            return await asyncio.start_server(self._answer, *place(address), limit=LARGEST_REQUEST)
        except (OSError, ValueError) as error:
            raise StoreFailure(
                f"cannot serve metrics at {address}: {error}", "as in --metrics 127.0.0.1:9473"
            ) from error

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(REQUEST_S):
                request = await reader.readuntil(b"\r\n\r\n")
                known = request.startswith((b"GET /metrics ", b"GET /metrics?"))
                body = self.text() if known else b"see /metrics\n"
                status = b"200 OK" if known else b"404 Not Found"
                writer.write(
                    b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )  # fmt: skip
                await writer.drain()
        writer.close()
