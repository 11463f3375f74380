"""The configuration as a virtual machine, its Vagrantfile and its steps want it."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

from envctl.config import Config
from envctl.providers import vagrant_check

SERVICES = IPv4Network("10.96.0.0/12")
BRIDGE = "virbr91"
GUARD_S = 60
IMAGES = {
    "debian12": "envctl.local/busybox:debian12",
    "centos7": "registry.k8s.io/e2e-test-images/busybox:1.29-4",
}


def adapted(config: Config) -> Config:
    """The configuration as it is true of a virtual machine.

    One master; its address is a reservation of the network's DHCP server, which is on the router; the apiserver
    is one; pods are given the route to Services; the guard allows for a slow machine.
    """
    network = config.network.model_copy(
        update={"dhcp": config.network.dhcp.model_copy(update={"server": config.network.gateway})}
    )
    guard = max(config.uplink.confirm_s, GUARD_S)
    return config.model_copy(
        update={
            "network": network,
            "nodes": config.nodes.model_copy(update={"workers": 0}),
            "uplink": config.uplink.model_copy(update={"address": "dhcp", "confirm_s": guard}),
            "plugin": config.plugin.model_copy(
                update={"service_cidr": config.plugin.service_cidr or SERVICES}
            ),
            "apiserver": config.apiserver.model_copy(update={"kind": "real"}),
        }
    )


def of_node(config: Config) -> dict[str, str]:
    """What the steps on the guest read (``provision/steps/lib.sh``)."""
    services = config.plugin.service_cidr or SERVICES
    return {
        "NODE_ADDRESS": str(config.nodes.master),
        "NODE_PREFIX": str(config.network.cidr.prefixlen),
        "NODE_UPLINK": config.uplink.interface,
        "NODE_BRIDGE": config.bridge,
        "NODE_GUARD_S": str(config.uplink.confirm_s),
        "NODE_SERVICE_CIDR": str(services),
        "NODE_DNS_SERVICE": str(services[10]),
        "CNI_NETWORK": config.plugin.network,
        "CNI_CONF": json.dumps(config.netconf()),
        "K8S_PORT": str(config.apiserver.port),
    }


def of_vagrant(config: Config) -> dict[str, str]:
    """What the Vagrantfile and the network's script read from their environment."""
    dhcp = config.network.dhcp
    return {
        "ENVCTL_NAME": config.name,
        "ENVCTL_GUEST": config.guest,
        "ENVCTL_DRIVER": vagrant_check.driver(),
        "ENVCTL_NETWORK": f"{config.name}-lan",
        "ENVCTL_NETWORK_BRIDGE": BRIDGE,
        "ENVCTL_ADDRESS": str(config.nodes.master),
        "ENVCTL_HOST": str(config.network.host),
        "ENVCTL_GATEWAY": str(config.network.gateway),
        "ENVCTL_DHCP_FIRST": str(dhcp.first),
        "ENVCTL_DHCP_LAST": str(dhcp.last),
        "ENVCTL_LEASE_S": str(dhcp.lease_s),
    }
