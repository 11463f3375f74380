"""Fabric's connections, as nodes use them."""

from __future__ import annotations

import logging
import os
import select
import shlex
import subprocess
from typing import Any

from fabric import Connection
from paramiko.proxy import ProxyCommand


class Proxy(ProxyCommand):  # type: ignore[misc]
    """A command whose end is noticed.

    paramiko's own class reads one that has ended again and again, as fast as a processor can, and takes it for one that
    says nothing: so the connection to a machine that lost its power neither ends nor costs nothing.
    This one is deaf to the terminal, too: Ctrl-C begins the way back, which needs the connection.
    """

    def __init__(self, command_line: str) -> None:
        self.cmd = shlex.split(command_line)
        pipe = subprocess.PIPE
        self.process: Any = subprocess.Popen(  # its pipes are there
            self.cmd, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, process_group=0
        )
        self.timeout = None

    def recv(self, size: int) -> bytes:
        """What has come, at most ``size`` octets; none once the command has ended. Raises TimeoutError."""
        readable, _, _ = select.select([self.process.stdout], [], [], self.timeout)
        if not readable:
            raise TimeoutError
        return os.read(self.process.stdout.fileno(), size)


class Proxied(Connection):  # type: ignore[misc]
    """A connection whose ``gateway`` is a command, with ``%h`` and ``%p`` for host and port."""

    def open_gateway(self) -> Proxy:
        """The command, running."""
        return Proxy(self.gateway.replace("%h", self.host).replace("%p", str(self.port)))


def connection(host: str, user: str, port: int, identity: str, proxy: str, timeout: int) -> Connection:
    """A connection that is not open yet: with the key in the file ``identity`` alone, where it is given, and through
    the command ``proxy``.
    """
    # paramiko's threads report what a command raises anyway, with their stacks.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    key = {"key_filename": identity, "look_for_keys": False, "allow_agent": False} if identity else {}
    kind = Proxied if proxy else Connection
    return kind(
        host, user=user, port=port, gateway=proxy or None, connect_timeout=timeout, connect_kwargs=key
    )
