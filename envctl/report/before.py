"""What an environment looked like before its uplinks moved, from what it is now."""

from __future__ import annotations

import dataclasses

from envctl.facts import ApiserverFacts, Facts, NodeFacts, PodFacts, ServerFacts


def before(facts: Facts) -> Facts:
    """The same machines with the address on the NIC, a bridge with nothing behind it, and pods without lease."""
    nodes = tuple(
        dataclasses.replace(
            node, port=False, address_on=node.interface,
            pods=tuple(dataclasses.replace(pod, address="") for pod in node.pods),
        )
        for node in facts.nodes
    )  # fmt: skip
    return dataclasses.replace(facts, nodes=nodes)


def example() -> Facts:
    """The reference network of the documentation, migrated, with two pods."""
    pods = tuple(PodFacts(f"pod{n}", "master", f"172.16.91.13{n}", state="running") for n in (1, 2))
    return Facts(
        name="example", provider="lab", exists=True, cidr="172.16.91.0/24", host="172.16.91.1", gateway="172.16.91.2",
        server=ServerFacts("172.16.91.254", "dnsmasq", "172.16.91.128", "172.16.91.253", 3600),
        apiserver=ApiserverFacts("apiserver", "172.16.91.10", 8443, True),
        nodes=(NodeFacts("master", "172.16.91.10", bridge="mybr0", address_on="mybr0", port=True, pods=pods),),
    )  # fmt: skip
