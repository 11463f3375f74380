"""The seven symptoms, in the order in which the note met them, and how they are played."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from envctl.config import Config
from envctl.errors import EnvctlError, UsageError
from envctl.providers.base import Provider
from envctl.providers.lab import Lab
from envctl.scenarios import (
    address_lost,
    apiserver_gone,
    broadcast_trapped,
    fixed,
    gateway_stolen,
    no_lease,
    two_routes,
)
from envctl.scenarios.stage import stage
from envctl.scenarios.story import Beat, Outcome, Symptom

SYMPTOMS = (
    Symptom(
        "no-lease", "a pod is created, the daemon waits, no address comes",
        "resource temporarily unavailable", no_lease.play,
    ),
    Symptom(
        "broadcast-trapped", "the pod's DHCPDISCOVER never leaves the node",
        "DHCPDISCOVER on mybr0, none on eth0", broadcast_trapped.play,
    ),
    Symptom(
        "gateway-stolen", "isGateway: true takes the router's own address",
        "172.16.91.2 is on mybr0", gateway_stolen.play,
    ),
    Symptom(
        "address-lost", "the NIC goes into the bridge, and the node's address no longer answers",
        "ip link set eth0 master mybr0", address_lost.play,
    ),
    Symptom(
        "apiserver-gone", "the apiserver is gone from the network",
        "dial tcp 172.16.91.10:8443: no route to host", apiserver_gone.play,
    ),
    Symptom(
        "two-routes", "two routes to the LAN fight each other",
        "172.16.91.0/24 dev eth0, 172.16.91.0/24 dev mybr0", two_routes.play,
    ),
    Symptom(
        "fixed", "what the note hoped for",
        "migration, pods with leases, the apiserver at the same address", fixed.play,
    ),
)  # fmt: skip
ALL = "all"


def chosen(names: Sequence[str]) -> tuple[Symptom, ...]:
    """The symptoms of these names, in the table's order; all of them for none, and for ``all``. Raises UsageError."""
    known = {symptom.id for symptom in SYMPTOMS}
    unknown = [name for name in names if name not in known | {ALL}]
    if unknown:
        raise UsageError(
            f"there is no symptom {', '.join(unknown)}", hint="There are: " + ", ".join((*known_ids(), ALL))
        )
    wanted = known if not names or ALL in names else set(names)
    return tuple(symptom for symptom in SYMPTOMS if symptom.id in wanted)


def known_ids() -> tuple[str, ...]:
    """Every symptom's name, in order."""
    return tuple(symptom.id for symptom in SYMPTOMS)


def environment_name(prefix: str, symptom: Symptom) -> str:
    """The name of the lab that a symptom is played in."""
    return f"{prefix}-{SYMPTOMS.index(symptom) + 1}"


def lab_of(prefix: str, symptom: Symptom) -> Provider:
    """The lab that a symptom is played in where there is no environment for it; making it touches nothing."""
    return Lab(Config.model_validate({"name": environment_name(prefix, symptom), "nodes": {"workers": 0}}))


def perform(
    symptom: Symptom, provider: Provider, tell: Callable[[Beat], None] = lambda _beat: None
) -> Outcome:
    """Play one symptom where the provider says; ``tell`` hears each beat as it happens.

    Raises NoLongerHappensError, NotBetterError, or what a provider or a node raises; everything is as before in any
    case.
    """
    outcome = attempt(symptom, provider, tell)
    if outcome.error is not None:
        raise outcome.error
    return outcome


def attempt(
    symptom: Symptom, provider: Provider, tell: Callable[[Beat], None] = lambda _beat: None
) -> Outcome:
    """As :func:`perform`, but an error is part of the outcome, beside what was seen before it."""
    start = time.monotonic()
    beats: list[Beat] = []
    failed: EnvctlError | None = None
    try:
        with stage(provider, symptom.id) as on:
            for beat in symptom.play(on):
                beats.append(beat)
                tell(beat)
    except EnvctlError as error:
        failed = error
    return Outcome(symptom.id, symptom.title, time.monotonic() - start, tuple(beats), failed)
