"""Who the node's DHCP client says it is: a server that knew it by another name would give another address.

dhclient sends option 61 when its configuration says so (``send dhcp-client-identifier``), or with ``-i`` one made of
its DUID (RFC 4361 §6.1); it writes down neither. So both are worked out as dhclient does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

RFC4361, ETHERNET = 0xFF, 0x01
DUID = re.compile(r'^default-duid "((?:[^"\\]|\\.)*)";', re.MULTILINE)
SEND = re.compile(r"^\s*send\s+([a-z-]+)\s*=?\s*([^;]+);", re.MULTILINE)
COMMENT = re.compile(r"#.*")
ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)


def client_id(argv: Sequence[str], configuration: str, leases: str, mac: str) -> bytes:
    """Option 61 as dhclient sends it, empty when it sends none (dhclient(8), dhclient.conf(5))."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    duids = DUID.findall(leases)
    if "-i" in argv and duids:
        return bytes([RFC4361]) + hardware[-4:] + unquoted(duids[-1])
    value = _sent(configuration).get("dhcp-client-identifier", "")
    if value == "hardware":
        return bytes([ETHERNET]) + hardware
    return _data(value)


def host_name(argv: Sequence[str], configuration: str, own: str) -> str:
    """Option 12 as dhclient sends it; ``own`` is the node's name. Empty when it sends none."""
    if "-H" in argv[:-1]:
        return argv[argv.index("-H") + 1]
    value = _sent(configuration).get("host-name", "")
    if value.replace(" ", "") == "gethostname()":
        return own
    return _data(value).decode(errors="replace")


def _sent(configuration: str) -> dict[str, str]:
    """What every interface sends: option name to the words behind it; the last one counts."""
    return {name: value.strip() for name, value in SEND.findall(COMMENT.sub("", configuration))}


def _data(value: str) -> bytes:
    """A string in quotes, or octets in hexadecimal."""
    if value.startswith('"') and value.endswith('"'):
        return unquoted(value[1:-1])
    octets = value.split(":")
    if all(re.fullmatch("[0-9a-fA-F]{1,2}", octet) for octet in octets):
        return bytes(int(octet, 16) for octet in octets)
    return b""


def unquoted(text: str) -> bytes:
    r"""The octets of a string as dhclient writes it: ``\ooo`` in octal, a backslash before what it stands for."""
    raw = text.encode("latin-1", "replace")
    return ESCAPE.sub(lambda found: bytes([int(found[1], 8)]) if len(found[1]) == 3 else found[1], raw)
