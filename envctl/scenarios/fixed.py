"""What the note hoped for: the migration under a running probe, pods with leases, the apiserver where it was."""

from __future__ import annotations

from collections.abc import Iterator

from envctl.environment import fingerprint, served_certificate
from envctl.probe import watching
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat

PODS = ("web", "db")


def play(stage: Stage) -> Iterator[Beat]:
    address, port = stage.node.address, stage.config.apiserver.port
    before = fingerprint(served_certificate(stage.host, address, port))
    stage.brdhcp()
    plan = stage.type("brdhcpctl uplink plan --nic %s --bridge %s", stage.nic, stage.bridge)
    yield Beat("make", f"brdhcp on the node; {stage.nic} has {address}", packets=(plan,))
    with watching(stage.host, address) as watch:
        stage.migrate()
        attempts = {pod: stage.add(pod) for pod in PODS}
    yield Beat(
        "see",
        f"migration and {len(PODS)} pods, pinged all the while: {watch}",
        shown=(stage.type("ip -4 -br addr show to %s", stage.config.network.cidr),),
        packets=(stage.type("bridge link show"), stage.type("ip route")),
        facts={"sent": watch.sent, "lost": watch.lost, "longest_gap_s": round(watch.longest_gap_s, 4)},
    )
    books = stage.new_leases()
    for pod, attempt in attempts.items():
        stage.better(attempt.address in books, f"{pod} has an address of the LAN's own server", attempt)
        stage.host.run("ping -n -c 1 -w 10 %s", attempt.address)
    addresses = {pod: attempt.address for pod, attempt in attempts.items()}
    yield Beat(
        "see",
        "pods with leases, reached from the workstation: "
        + ", ".join(f"{pod} {there} in {attempts[pod].seconds:.2f} s" for pod, there in addresses.items()),
        packets=(stage.type("brdhcpctl leases"),),
        facts={"pods": addresses},
    )
    stage.forget_neighbours()
    after = fingerprint(served_certificate(stage.host, address, port))
    stage.better(after and after == before, f"{address}:{port} answers as before", after)
    few = watch.lost * 100 <= watch.sent
    stage.better(few, "at most one ping of a hundred is lost, whatever else this machine is doing", watch)
    kept = f"leases in the server's books; {address}:{port} has the certificate it had"
    yield Beat("proof", f"{watch.lost or 'no'} pings lost; {kept}", facts={"certificate": after})
