"""Names and hardware addresses that follow from who the pod is, so that nothing has to be remembered to
find them again.

The same container, interface and network give the same MAC and the same link name, on every node and after
every restart of the agent. A new sandbox of the same pod is a new container, so a reservation that should
outlive the sandbox is made for ``clientId: pod`` or for a MAC that the configuration gives.
"""

from __future__ import annotations

from hashlib import sha256

from brdhcp.dhcp import identity
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf


def veth_name(container_id: str, if_name: str) -> str:
    """The node's end of the pair: ``veth`` and eight hex digits, under the kernel's 15 bytes."""
    return "veth" + sha256(f"{container_id}/{if_name}".encode()).hexdigest()[:8]


def pod_mac(container_id: str, if_name: str, network: str) -> str:
    """The pod's MAC: locally administered, unicast (IEEE 802 §8.2), the other 46 bits from the hash of the
    three.
    """
    octets = bytearray(sha256(f"{container_id}/{if_name}/{network}".encode()).digest()[:6])
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")


def wanted_mac(netconf: NetConf, request: Request) -> str:
    """The pod's MAC: the one that was asked for; with ``clientId: pod`` that of the pod's name, since a server that was
    given an address back may know its next owner by the MAC alone; else that of the container.
    """
    if netconf.mac:
        return netconf.mac
    named = netconf.dhcp is not None and netconf.dhcp.client_id == "pod" and request.pod
    return pod_mac(request.pod if named else request.container_id, request.if_name, netconf.name)


def port_mac(container_id: str, if_name: str) -> str:
    """The MAC of the node's end. It begins with ``fe``: a bridge without a MAC of its own takes its ports'
    lowest.
    """
    return b"\xfe".hex() + ":" + sha256(f"port/{container_id}/{if_name}".encode()).digest()[:5].hex(":")


def bridge_mac(name: str, seed: str) -> str:
    """The MAC of a bridge that we make: ``seed`` (the boot ID) tells nodes apart that use the same name."""
    octets = bytearray(sha256(f"bridge/{seed}/{name}".encode()).digest()[:6])
    octets[0] = octets[0] & 0xFC | 0x02
    return octets.hex(":")


def client_id(choice: str, *, container_id: str, network: str, if_name: str, mac: str, pod: str) -> bytes:
    """DHCP option 61 for the configuration's ``clientId``, with its type octet (RFC 2132 §9.14).

    ``container`` is the reference plugin's, ``mac`` that of most hosts, ``pod`` is
    ``namespace/name/if_name`` and so the same in every sandbox of that pod; anything else is sent as it is,
    hexadecimal with colons as octets.
    """
    if choice == "container":
        return identity.client_id(container_id, network, if_name)
    if choice == "mac":
        return identity.client_id_from_mac(octets_of(mac))
    if choice == "pod":
        return b"\0" + f"{pod}/{if_name}".encode()[:254]
    if ":" in choice and all(len(part) == 2 for part in choice.split(":")):
        try:
            return octets_of(choice)
        except ValueError:
            pass
    return b"\0" + choice.encode()[:254]


def octets_of(mac: str) -> bytes:
    """``02:00:5e:00:00:10`` as bytes."""
    return bytes.fromhex(mac.replace(":", ""))
