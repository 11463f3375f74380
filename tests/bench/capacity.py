"""An agent with many leases: what it costs at rest, how it comes back, and what its renewals do to the server."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envctl.providers.lab_plugin import COMPILED_SHIM
from tests.bench import work
from tests.bench.contenders import AGENT_SOCKET, BRDHCPD, Contender, brdhcp
from tests.bench.lab import BenchLab, bench_lab
from tests.lab.lan import until

FEW = 100
PATIENCE_S = 60
"""Of an ADD that only fills the node: what it takes on a busy machine is not what is looked at."""
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Rest:
    """A process at rest, by ``/proc``."""

    threads: int
    descriptors: int
    rss_kb: int
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> Rest:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
        )
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(
            threads=int(status["Threads"]), descriptors=sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
            rss_kb=int(status["VmRSS"].split()[0]), cpu_s=(int(stat[11]) + int(stat[12])) / TICK,
        )  # fmt: skip


def at_rest(leases: int, watch_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Threads, descriptors, memory and idle CPU with ``leases`` leases; then the agent is killed and started again."""
    with bench_lab() as lab:
        contender = brdhcp(acquireTimeout=PATIENCE_S)
        agent = lab.start(BRDHCPD, AGENT_SOCKET)
        work.warm_up(lab, contender)
        bare = Rest.of(lab.pid(agent)).descriptors
        failed = fill(lab, contender, 0, FEW)
        few = _settled(lab, agent, bare + 3)
        failed += fill(lab, contender, FEW, leases)
        say(f"{leases} leases taken, {failed} failed")
        full = _settled(lab, agent, bare + 3)
        began = time.monotonic()
        _watch(watch_s)
        idle = (Rest.of(lab.pid(agent)).cpu_s - full.cpu_s) / (time.monotonic() - began)
        discovers = lab.asked("DHCPDISCOVER")
        restart_s = killed_and_started(lab, contender)
        return {
            "failed": failed, "threads_few": few.threads, "threads": full.threads,
            "descriptors_per_lease": max(0, full.descriptors - bare) / leases,
            "memory_mb": full.rss_kb / 1024, "kb_per_lease": max(0, full.rss_kb - few.rss_kb) / (leases - FEW),
            "idle_cpu_percent": 100 * idle, "restart_s": restart_s, "kept": lab.taken(),
            "discovers_after_restart": lab.asked("DHCPDISCOVER") - discovers,
        }  # fmt: skip


def fill(lab: BenchLab, contender: Contender, first: int, last: int) -> int:
    """Pods with leases, a hundred at a time; how many ADDs failed."""
    failed = 0
    for start in range(first, last, 100):
        names = [f"pod{number}" for number in range(start, min(start + 100, last))]
        lab.pods(names)
        found = work.series(contender.call(lab, "ADD", names, together=True))
        failed += found.failed
        for reason in found.said[:1]:
            print(f"{found.failed} ADDs failed after {start} pods, as: {reason}", file=sys.stderr)
        _know_neighbours(lab)
    return failed


def _settled(lab: BenchLab, agent: Any, most: int) -> Rest:
    """Once the sockets of the last exchanges are closed, or after 20 s."""
    with contextlib.suppress(AssertionError):
        until(lambda: Rest.of(lab.pid(agent)).descriptors <= most, within=20)
    return Rest.of(lab.pid(agent))


def _watch(seconds: float) -> None:
    ends = time.monotonic() + seconds
    until(lambda: time.monotonic() >= ends, within=seconds + 5)


def killed_and_started(lab: BenchLab, contender: Contender) -> float:
    """SIGKILL, start, and the seconds until a STATUS is answered with success."""
    agent = lab.daemons[-1]
    os.kill(lab.pid(agent), signal.SIGKILL)
    agent.wait()
    began = time.monotonic()
    lab.daemons.append(lab.node.spawn(BRDHCPD))
    conf = '{"cniVersion":"1.1.0","name":"mycninet","type":"brdhcp","bridge":"mybr0","ipam":{"type":"dhcp"}}'
    env = {"CNI_COMMAND": "STATUS", "CNI_PATH": contender.folder}
    until(
        lambda: lab.node.run(str(COMPILED_SHIM), stdin=conf, env=env, check=False).returncode == 0,
        within=30, what="the agent answers",
    )  # fmt: skip
    return time.monotonic() - began


def renewals(leases: int, lease_s: int, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """``leases`` short leases, renewed for ``minutes``, with one kill and start half way."""
    with bench_lab(lease_s=lease_s) as lab:
        contender = brdhcp(acquireTimeout=PATIENCE_S)
        lab.start(BRDHCPD, AGENT_SOCKET)
        failed = fill(lab, contender, 0, leases)
        discovers, declined = lab.asked("DHCPDISCOVER"), lab.asked("DHCPNAK")
        say(f"{leases} leases of {lease_s} s taken, {failed} failed; renewing for {minutes:g} minutes")
        _watch(30 * minutes)
        killed_and_started(lab, contender)
        restarted = time.time()
        _watch(30 * minutes)
        per_second = _requests_per_second(lab)
        fair = leases / (lease_s / 2)
        after = [count for second, count in per_second.items() if restarted <= second < restarted + 20]
        return {
            "failed": failed, "kept": lab.taken(), "leases": leases,
            "discovers": lab.asked("DHCPDISCOVER") - discovers, "naks": lab.asked("DHCPNAK") - declined,
            "fair_per_s": fair, "peak_per_s_after_restart": max(after, default=0),
        }  # fmt: skip


def _know_neighbours(lab: BenchLab) -> None:
    """The server knows its clients' MACs for good.

    All namespaces of a kernel share one neighbour table, of 1,024 entries unless the machine's administrator says
    otherwise. Here the server and a thousand pods are in one kernel; on a LAN each has its own. From the first renewal
    on, while the last pods may still be coming, the server's table would fill up, and then it can send nobody anything,
    no DHCPOFFER either. Permanent entries do not count, and spare the pods theirs.
    """
    leases = lab.lan.server_leases()
    lines = (f"neigh replace {ip} lladdr {mac} nud permanent dev eth0" for mac, ip in leases.items())
    lab.lan.router.ip(*lines)


def _requests_per_second(lab: BenchLab) -> Counter[int]:
    """DHCPREQUESTs by the second, from the server's log (its clock has seconds only)."""
    year = time.localtime().tm_year
    found: Counter[int] = Counter()
    for line in lab.lan.router.run("grep DHCPREQUEST( /run/dnsmasq.log", check=False).stdout.splitlines():
        at = time.strptime(f"{year} {line[:15]}", "%Y %b %d %H:%M:%S")
        found[int(time.mktime(at))] += 1
    return found


def slow_server(pods: int, warm: int, say: Callable[[str], None]) -> tuple[work.Series, int]:
    """ADDs one by one against a server that pings each address first, with a pool of ``warm`` leases taken ahead."""
    with bench_lab(ping=True) as lab:
        contender = brdhcp(warmLeases=warm)
        lab.start(BRDHCPD, AGENT_SOCKET)
        lab.pods(["first", *(f"pod{number}" for number in range(pods))])
        contender.call(lab, "ADD", ["first"], together=False)
        say(f"waiting for a pool of {warm} leases from a server that takes 3 s for each")
        until(lambda: lab.taken() >= warm + 1, within=60 + 4 * warm, what="the pool is full")
        names = [f"pod{number}" for number in range(min(pods, warm))]
        found = work.series(contender.call(lab, "ADD", names, together=False))
        contender.call(lab, "DEL", ["first", *names], together=True)
        os.kill(lab.pid(lab.daemons[-1]), signal.SIGTERM)
        until(lambda: lab.taken() == 0, within=20, what="unused leases are given back")
        return found, lab.taken()
