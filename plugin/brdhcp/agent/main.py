"""``brdhcpd``: reads the command line, starts everything in order, and ends it in order."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from brdhcp.agent import node_lease, notify, reconcile, server
from brdhcp.agent.core import Core
from brdhcp.agent.verbs import Verbs
from brdhcp.errors import CniError
from brdhcp.events import Events, choose_form
from brdhcp.netlink.kernel import Kernel
from brdhcp.store.leases import Store
from brdhcp.store.paths import SOCKET, STATE_DIR
from brdhcp.store.spool import Spool

DRAIN_S = 5.0


def parser() -> argparse.ArgumentParser:
    """The options of ``brdhcpd``."""
    options = argparse.ArgumentParser(
        prog="brdhcpd", description="Agent of the brdhcp CNI plugin: keeps the DHCP leases of this node's pods.",
        epilog="Needs root: it enters the namespaces of pods, makes links and opens packet sockets "
        "(CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN).",
    )  # fmt: skip
    options.add_argument(
        "--socket", type=Path, default=SOCKET, help="where the CNI executable asks (%(default)s)"
    )
    options.add_argument("--state-dir", type=Path, default=STATE_DIR, help="leases on disk (%(default)s)")
    options.add_argument(
        "--reconcile", type=float, default=60.0, metavar="SECONDS",
        help="how often leases of vanished pods are looked for (%(default)s)",
    )  # fmt: skip
    options.add_argument(
        "--metrics", metavar="HOST:PORT", help="answer Prometheus there, as 127.0.0.1:9473 (default: nowhere)"
    )
    options.add_argument("--log-format", choices=("auto", "text", "json", "journal"), default="auto")
    options.add_argument(
        "--log-level", choices=("error", "warning", "notice", "info", "debug"), default="info"
    )
    options.add_argument(
        "--allow-uid", type=int, action="append", default=None, metavar="UID",
        help="who may ask, and nobody else (repeatable; default: the agent's own uid)",
    )  # fmt: skip
    return options


async def run(options: argparse.Namespace, events: Events) -> None:
    """Serve until SIGTERM or SIGINT. Raises ``CniError`` when it cannot start."""
    given = notify.listening_socket()
    listener = given or server.listen(options.socket)
    mine = server.identity(options.socket) if given is None else None
    try:
        core = _core(options, events)
    except BaseException:
        listener.close()
        raise
    verbs = Verbs(core, lambda: reconcile.sweep(core))
    answering: asyncio.Server | None = None
    allowed = frozenset(options.allow_uid or [os.geteuid()])
    serving = server.Server(listener, verbs.handle, events, allowed)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        answering = await _metrics(core, verbs, options.metrics)
        done = await reconcile.start(core, verbs)
        tasks = [
            asyncio.create_task(serving.serve(), name="serve"),
            asyncio.create_task(reconcile.forever(core, verbs, options.reconcile), name="reconcile"),
            asyncio.create_task(node_lease.forever(core), name="node lease"),
            asyncio.create_task(_watchdog(), name="watchdog"),
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        _ready(events, options, done)
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        notify.notify("STOPPING=1")
        for task in (*tasks, stopping):
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await serving.drain(DRAIN_S)
        await core.warm.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
    finally:
        if mine is not None and server.identity(options.socket) == mine:
            options.socket.unlink()  # not systemd's, nor that of the agent that came after us
        listener.close()
        if answering is not None:
            answering.close()
        await core.close()
        events("stopped", "stopped; every lease stays as it is", "notice")


def _raise_limit() -> None:
    """As many descriptors as we may have: the soft limit is low for the sake of select(2), which nothing here uses."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _core(options: argparse.Namespace, events: Events) -> Core:
    store = Store(options.state_dir)
    return Core(options.state_dir, store, Spool(options.state_dir / "spool"), events, Kernel())


async def _metrics(core: Core, verbs: Verbs, address: str | None) -> asyncio.Server | None:
    if address is None:
        return None
    from brdhcp.agent.metrics import Metrics

    metrics = Metrics(core)
    verbs.observe = metrics.observe
    return await metrics.serve(address)


def _ready(events: Events, options: argparse.Namespace, done: reconcile.Done) -> None:
    # What was made until now lives for ever; the collector need not look at it again.
    gc.collect()
    gc.freeze()
    events(
        "ready", f"listening at {options.socket}; {done['kept']} leases kept, {done['released']} given back", "notice",
        socket=str(options.socket), kept=done["kept"], released=done["released"], waiting=done["waiting"],
    )  # fmt: skip
    notify.notify(f"READY=1\nSTATUS=keeping {done['kept']} leases")


async def _watchdog() -> None:
    interval = notify.watchdog_interval()
    while interval is not None:
        notify.notify("WATCHDOG=1")
        await asyncio.sleep(interval)
    await asyncio.get_running_loop().create_future()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 after an orderly end, 1 when the agent could not start, 2 for a wrong command line."""
    options = parser().parse_args(argv)
    events = Events(form=choose_form(options.log_format), least=options.log_level)
    if os.geteuid() != 0:
        print(
            "brdhcpd: needs root (it makes links and enters namespaces of pods): sudo brdhcpd",
            file=sys.stderr,
        )
        return 1
    _raise_limit()
    try:
        asyncio.run(run(options, events))
    except CniError as error:
        print(f"brdhcpd: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
