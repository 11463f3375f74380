"""``no route to host`` for the apiserver, from the machine where kubectl runs."""

from __future__ import annotations

from collections.abc import Iterator

from envctl.environment import fingerprint, served_certificate
from envctl.scenarios.stage import Stage
from envctl.scenarios.story import Beat, Shown


def play(stage: Stage) -> Iterator[Beat]:
    address, port = stage.node.address, stage.config.apiserver.port
    before = fingerprint(served_certificate(stage.host, address, port))
    stage.happens(before, f"{address}:{port} answers before anything is done", "no certificate")
    stage.enslave()
    stage.reverse_path_filter(1)
    stage.forget_neighbours()
    yield Beat("make", f"ip link set {stage.nic} master {stage.bridge}; then a client, from the workstation")
    said = stage.type(stage.scene.question(), on=stage.host)
    error = said.output.splitlines()[-1] if said.output else ""
    local = stage.node.run("ss -Hltn sport = :%s", port).stdout.strip()
    yield Beat(
        "see",
        f"the client of {address}:{port} says: {error}",
        shown=(
            Shown(said.where, said.command, error),
            stage.type("ip neigh show %s", address, on=stage.host),
        ),
        packets=(Shown("master", f"ss -ltn sport = :{port}", local),),
        why="The server runs and listens; nothing is wrong with it. The client's own machine asks by ARP who has the"
        " address, nobody answers, and after three questions the kernel tells the client EHOSTUNREACH: no route to"
        " host. Kubernetes has not begun to be involved.",
        facts={"error": error, "listening": bool(local), "certificate": before},
    )
    stage.happens("no route to host" in error.lower(), "the client gets no route to host", error)
    stage.happens(local, "the server still listens meanwhile", "nothing listens")
    yield Beat("proof", "no route to host, while the server listens as before")
    yield from _with_brdhcp(stage, before)


def _with_brdhcp(stage: Stage, before: str) -> Iterator[Beat]:
    address, port = stage.node.address, stage.config.apiserver.port
    stage.afresh()
    stage.brdhcp()
    stage.migrate()
    stage.forget_neighbours()
    after = fingerprint(served_certificate(stage.host, address, port))
    stage.better(after == before, "the same server answers at the same address", after)
    yield Beat(
        "brdhcp",
        f"after the migration {address}:{port} answers with the same certificate ({after[:16]}…)",
        facts={"brdhcp_certificate": after},
    )
