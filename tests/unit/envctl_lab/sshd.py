"""An ssh server on loopback that runs what it is asked with the shell: enough for SshNode, nothing to install."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko


class _Files(paramiko.SFTPServerInterface):  # type: ignore[misc]
    """Takes uploads."""

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle:
        handle = paramiko.SFTPHandle(flags)
        handle.writefile = Path(path).open("wb")  # noqa: SIM115
        return handle

    def stat(self, path: str) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(Path(path).stat())

    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        return paramiko.SFTP_OK  # type: ignore[no-any-return]


class _Session(paramiko.ServerInterface):  # type: ignore[misc]
    """Takes any key and any command."""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL  # type: ignore[no-any-return]

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[no-any-return]

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_run, args=(channel, command), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: bytes) -> None:
    given = b""
    while chunk := channel.recv(65536):
        given += chunk
    done = subprocess.run(["sh", "-c", command], input=given, capture_output=True, check=False)
    channel.sendall(done.stdout)
    channel.sendall_stderr(done.stderr)
    channel.send_exit_status(done.returncode)
    channel.close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[int, str]]:
    """Port of the server, and the file of a key that it takes."""
    key = paramiko.RSAKey.generate(2048)
    identity = folder / "id"
    key.write_private_key_file(str(identity))
    listener = socket.create_server(("127.0.0.1", 0))
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = paramiko.Transport(connection)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files)
                transports.append(transport)
                transport.start_server(server=_Session())

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1], str(identity)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
