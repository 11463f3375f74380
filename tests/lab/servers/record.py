"""Record what each kind of server says to a pod, as fixtures of the unit ring: ``python -m tests.lab.servers.record``.

Run as root when a server or what we ask of it changes; the files go to ``tests/unit/dhcp/captured``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.lab.agent.rig import NOTE, Rig, rig
from tests.lab.lan import until
from tests.lab.servers.kinds import KINDS, Dnsmasq, Kind

TO = Path(__file__).parents[2] / "unit/dhcp/captured"
MAC = "02:00:5e:00:00:31"
MAGIC, HEAD, PACKET_HEAD = b"\xd4\xc3\xb2\xa1", 24, 16
"""Of a pcap file, little-endian (pcap-savefile(5))."""
CAPTURE = "/run/record.pcap"
VERSIONS = {"isc-dhcpd": "dhcpd --version", "udhcpd": "busybox", "systemd-networkd": "networkctl --version"}


def frames(data: bytes) -> list[bytes]:
    """The whole frames of a pcap file, in order; one that is still being written is left out."""
    assert not data or data[:4] == MAGIC
    found, at = [], HEAD
    while at + PACKET_HEAD <= len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        if at + PACKET_HEAD + size > len(data):
            break
        found.append(data[at + PACKET_HEAD : at + PACKET_HEAD + size])
        at += PACKET_HEAD + size
    return found


def version(kind: type[Kind]) -> str:
    said = subprocess.run(VERSIONS[kind.name].split(), capture_output=True, text=True, check=False)
    number = re.search(r"\d+(\.\d+)+|(?<=systemd )\d+", said.stdout + said.stderr)
    assert number is not None, said
    return number[0]


def record(kind: type[Kind], node: Rig) -> dict[str, bytes]:
    """DHCPOFFER, DHCPACK, and the DHCPACK to a renewal, as the node's NIC had them."""
    kind(node.lan).start()
    node.start()
    dump = node.lan.node.spawn(
        f"tcpdump -U -i eth0 -w {CAPTURE} 'udp and src port 67'", stderr=subprocess.PIPE
    )
    assert dump.stderr is not None
    until(lambda: "listening" in dump.stderr.readline(), what="tcpdump listens")  # type: ignore[union-attr]
    node.add("web", {**NOTE, "args": {"cni": {"mac": MAC}}})
    node.ctl("renew")
    until(lambda: node.events("lease-renewed"), what="the lease is renewed")

    def heard() -> list[bytes]:
        path = Path(f"/proc/{node.lan.node.pid}/root{CAPTURE}")
        return frames(path.read_bytes() if path.exists() else b"")

    until(lambda: len(heard()) >= 3, what="three answers are on disk")
    dump.stderr.close()
    return dict(zip(("offer", "ack", "ack-renewing"), heard(), strict=False))


def main() -> None:
    wanted = sys.argv[1:]
    for kind in KINDS:
        if kind is Dnsmasq or (wanted and kind.name not in wanted):
            continue  # dnsmasq's were recorded with options of their own
        with rig(serve=False) as node:
            for name, octets in record(kind, node).items():
                file = TO / f"{kind.name}-{version(kind)}-{name}.hex"
                lines = [octets[at : at + 32].hex() for at in range(0, len(octets), 32)]
                file.write_text("\n".join(lines) + "\n")
                print(file)


if __name__ == "__main__":
    main()
