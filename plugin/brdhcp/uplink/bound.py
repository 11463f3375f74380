"""Programs that listen on the NIC by its name: as a port it hands them nothing, what comes in is the bridge's."""

from __future__ import annotations

import re
import subprocess


def listeners(nic: str) -> tuple[str, ...]:
    """Listening sockets bound to ``nic`` (SO_BINDTODEVICE), in words; none where there is no ss(8) to ask."""
    try:
        ran = subprocess.run(
            ["ss", "-Hlntup"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse(ran.stdout, nic)


def parse(text: str, nic: str) -> tuple[str, ...]:
    """``udp 0.0.0.0%eth0:67 (dnsmasq)`` for each line of ``ss -Hlntup`` that names ``nic``."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and f"%{nic}:" in words[4] and not words[4].startswith("[fe80:"):
            names = list(dict.fromkeys(re.findall(r'\("([^"]*)",pid=', line)))
            found.append(f"{words[0]} {words[4]} ({', '.join(names) or 'of a program unknown'})")
    return tuple(dict.fromkeys(found))
