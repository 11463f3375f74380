"""A node is where commands run: a network namespace of this machine, or a machine behind ssh; same face.

Quoting is built in: ``node.run("ip -j addr show %s", dev)`` puts every argument in shell quotes. A command
that fails raises :class:`NodeError`, which carries what was run, its exit status and its output.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from fabric import Connection

KEEPALIVE_S, GRACE_S = 5, 20.0
PATH = "/opt/brdhcp/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended. ``argv`` is what was started on this machine, ``command`` what the node's shell
    saw.
    """

    node: str
    command: str
    argv: tuple[str, ...]
    exit_status: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """What the command printed, as JSON; NodeError when it is none."""
        try:
            return json.loads(self.stdout)
        except ValueError as error:
            raise NodeError(self, f"printed no JSON ({error})") from error


class NodeError(EnvctlError):
    """A command failed on a node: ``completed`` has argv, exit status (negative: signal) and output."""

    def __init__(self, completed: Completed, reason: str = "") -> None:
        self.completed = completed
        self.argv = completed.argv
        self.exit_status = completed.exit_status
        self.output = (completed.stdout + completed.stderr).strip()
        reason = reason or f"exit status {completed.exit_status}"
        super().__init__(f"{completed.node}: {completed.command}: {reason}", cause=self.output)


def quoted(command: str, args: Sequence[object]) -> str:
    """``command`` with every ``%s`` replaced by the argument in its place, in shell quotes; as is without
    arguments.
    """
    return command % tuple(shlex.quote(str(arg)) for arg in args) if args else command


class Node(ABC):
    """Where commands run. ``name`` is the machine's, ``address`` its LAN address."""

    name: str
    address: str
    lag_s: float = 0.2  # how long what a command prints there may be on its way

    @abstractmethod
    def argv(self, command: str, *args: object) -> list[str]:
        """What to start on this machine so that ``command`` runs on the node (for ``exec`` and interactive
        use).
        """

    @abstractmethod
    def run(self, command: str, *args: object, check: bool = True, input: str | bytes | None = None,
            timeout: float = 30, env: Mapping[str, str] | None = None) -> Completed:  # fmt: skip
        """Run a shell command to its end as root.

        ``env`` adds variables. NodeError when it fails (unless ``check`` is false), or does not end in
        ``timeout`` seconds (always); it is killed then.
        """

    @abstractmethod
    def spawn(self, command: str, *args: object, log: str, env: Mapping[str, str] | None = None) -> None:
        """Start a command that outlives the caller; its output is appended to the node's file ``log``."""

    @abstractmethod
    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file of the node, whole or not at all; folders above it are made."""

    @abstractmethod
    def get(self, path: str) -> bytes:
        """Read a file of the node; FileNotFoundError when there is none."""

    def remove(self, path: str) -> None:
        """There is no such file on the node afterwards."""
        self.run("rm -f %s", path)

    @abstractmethod
    def names(self, directory: str) -> list[str]:
        """The names in a folder of the node, sorted; empty when there is no such folder."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.address}>"


class NamespaceNode(Node):
    """A machine made of namespaces of this one, held by the process ``pid``: nsenter runs, /proc/PID/root has
    the files.

    Files are reached from outside; a path that leads through an absolute symbolic link is not followed in the
    node, so paths are given resolved (``/run``, not ``/var/run``).
    """

    def __init__(self, name: str, address: str, pid: int) -> None:
        self.name = name
        self.address = address
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")

    def enter(self, *argv: str) -> list[str]:
        """``argv`` (no shell) as started from this machine."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--", *argv]

    def argv(self, command: str, *args: object) -> list[str]:
        return self.enter("sh", "-c", quoted(command, args))

    def run(self, command: str, *args: object, check: bool = True, input: str | bytes | None = None,
            timeout: float = 30, env: Mapping[str, str] | None = None) -> Completed:  # fmt: skip
        return self.run_argv(self.argv(command, *args), quoted(command, args), check, input, timeout, env)

    def run_argv(
        self,
        argv: Sequence[str],
        shown: str = "",
        check: bool = True,
        input: str | bytes | None = None,
        timeout: float = 30,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run one command as given to :meth:`enter`; see :meth:`run`."""
        data = input.encode() if isinstance(input, str) else input
        shown = shown or shlex.join(argv)
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL if data is None else subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment(env), process_group=0,
        )  # fmt: skip
        with ended(process):
            try:
                out, err = process.communicate(data, timeout)
            except subprocess.TimeoutExpired as error:
                output = [(part or b"").decode(errors="replace") for part in (error.output, error.stderr)]
                late = Completed(self.name, shown, tuple(argv), -signal.SIGKILL, output[0], output[1])
                raise NodeError(late, f"no end after {timeout} s") from error
        texts = out.decode(errors="replace"), err.decode(errors="replace")
        done = Completed(self.name, shown, tuple(argv), process.returncode, *texts)
        if check and done.exit_status:
            raise NodeError(done)
        return done

    def spawn(self, command: str, *args: object, log: str, env: Mapping[str, str] | None = None) -> None:
        outside = self.outside(log)
        outside.parent.mkdir(parents=True, exist_ok=True)
        argv = self.enter("setsid", "--fork", "sh", "-c", "exec " + quoted(command, args))
        with outside.open("ab") as output:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(env),
                check=False,
            )
        if done.returncode:
            shown = quoted(command, args)
            raise NodeError(Completed(self.name, shown, tuple(argv), done.returncode, "", f"see {log}"))

    def outside(self, path: str) -> Path:
        """Where a file of the node is found from this machine, as long as the node lives."""
        return self.root / path.lstrip("/")

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        target = self.outside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
        part.touch(mode=0o600, exist_ok=False)
        part.write_bytes(data)
        part.chmod(mode)
        part.replace(target)

    def get(self, path: str) -> bytes:
        return self.outside(path).read_bytes()

    def remove(self, path: str) -> None:
        self.outside(path).unlink(missing_ok=True)

    def names(self, directory: str) -> list[str]:
        try:
            return sorted(entry.name for entry in self.outside(directory).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The variables of a command on a node: a plain PATH and locale, what is asked for, nothing of the
    caller's.
    """
    own = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": os.environ.get("TERM", "dumb")}
    return own | dict(extra or {})


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever happens, the process group is gone and the process reaped at the end."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        raise


class SshNode(Node):
    """A machine behind ssh, by Fabric; commands run as root through sudo when the user is another one.

    ``proxy`` is a command that reaches ``%h:%p`` (ssh's ProxyCommand) where this machine cannot by itself.
    ``known_hosts`` is a file of its own, for a machine whose address others had before it.
    """

    lag_s = 2.0

    def __init__(self, name: str, address: str, *, host: str = "", user: str = "root", port: int = 22,
                 identity: str = "", connect_timeout: int = 10, proxy: str = "",
                 known_hosts: str = "") -> None:  # fmt: skip
        self.name = name
        self.address = address
        self.host = host or address
        self.user = user
        self.port = port
        self.identity = identity
        self.connect_timeout = connect_timeout
        self.proxy = proxy
        self.known_hosts = known_hosts
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The one connection, opened at first use."""
        if self._connection is None:
            from envctl.ssh import connection

            self._connection = connection(
                self.host, self.user, self.port, self.identity, self.proxy, self.connect_timeout
            )
        return self._connection

    def close(self) -> None:
        """End the connection; the next command opens another."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.client.get_transport()
        process = getattr(getattr(transport, "sock", None), "process", None)
        for part in (connection, connection.client):  # the client also when the connection never came about
            with contextlib.suppress(Exception):  # whose other end is gone has nobody to say goodbye to
                part.close()
        if process is not None:  # the proxy, which paramiko's thread signals and forgets
            transport.join(5)
            process.kill()
            process.communicate()

    def argv(self, command: str, *args: object) -> list[str]:
        return [*self.ssh(), self._as_root(quoted(command, args), None)]

    def ssh(self, *options: str) -> list[str]:
        """The ``ssh`` command that logs in there."""
        words = ["ssh", "-p", str(self.port), *options]
        if self.identity:
            words += ["-i", self.identity, "-o", "IdentitiesOnly=yes"]
        if self.proxy:
            words += ["-o", f"ProxyCommand={self.proxy}"]
        if self.known_hosts:
            own = f"UserKnownHostsFile={self.known_hosts}"
            words += ["-q", "-o", "StrictHostKeyChecking=accept-new", "-o", own]
        return [*words, f"{self.user}@{self.host}"]

    def _as_root(self, command: str, env: Mapping[str, str] | None, timeout: float | None = None) -> str:
        variables = " ".join(f"{key}={shlex.quote(value)}" for key, value in (env or {}).items())
        sudo = "" if self.user == "root" else "sudo -n "
        limit = f"timeout -k 5 {timeout:g} " if timeout else ""
        words = f"{sudo}env PATH={PATH} {variables + ' ' if variables else ''}{limit}"
        return f"{words}sh -c {shlex.quote(command)}"

    def run(self, command: str, *args: object, check: bool = True, input: str | bytes | None = None,
            timeout: float = 30, env: Mapping[str, str] | None = None) -> Completed:  # fmt: skip
        import io

        shown = quoted(command, args)
        argv = ("ssh", f"{self.user}@{self.host}", shown)
        data = input.encode() if isinstance(input, str) else input
        try:
            with self._alive(timeout + GRACE_S):
                inner = "exec <{0} && rm -f {0}; ".format(self._upload(data)) + shown if data else shown
                result = self.connection.run(
                    self._as_root(inner, env, timeout),
                    hide=True,
                    warn=True,
                    in_stream=io.StringIO(),
                    encoding="utf-8",
                )
        except Exception as error:  # Fabric, invoke, paramiko and the network each have a family of their own
            failed = Completed(self.name, shown, argv, -1, "", "")
            raise NodeError(failed, f"{type(error).__name__}: {error}".splitlines()[0]) from error
        done = Completed(self.name, shown, argv, result.exited, result.stdout, result.stderr)
        if done.exit_status == 124:
            raise NodeError(done, f"no end after {timeout:g} s")
        if done.exit_status < 0:
            raise NodeError(done, "the connection was lost")
        if check and done.exit_status:
            raise NodeError(done)
        return done

    @contextlib.contextmanager
    def _alive(self, within: float) -> Iterator[None]:
        """An open connection that ends when the machine is gone, at the latest after ``within`` seconds.

        A machine that lost its power never says so: what keeps the connection alive finds out.
        """
        if not self.connection.is_connected:
            self.close()  # what is left of one that has ended
            try:
                self.connection.open()
            except BaseException:
                self.close()
                raise
        transport = self.connection.transport
        transport.set_keepalive(KEEPALIVE_S)
        limit = threading.Timer(within, transport.close)
        limit.daemon = True
        limit.start()
        try:
            yield
        finally:
            limit.cancel()

    def _upload(self, data: bytes) -> str:
        """A file of the node with ``data``: Fabric would feed standard input a hundred bytes a second."""
        import io
        import uuid

        remote = f"/tmp/.envctl-{uuid.uuid4().hex}"
        self.connection.put(io.BytesIO(data), remote)
        return remote

    def spawn(self, command: str, *args: object, log: str, env: Mapping[str, str] | None = None) -> None:
        line = f'mkdir -p "$(dirname %s)" && setsid --fork sh -c %s >>{shlex.quote(log)} 2>&1 </dev/null'
        self.run(line, log, "exec " + quoted(command, args), env=env)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        try:
            remote = self._upload(data)
        except Exception as error:  # as in run
            failed = Completed(self.name, f"write {path}", ("sftp", self.host, path), -1, "", "")
            raise NodeError(failed, f"{type(error).__name__}: {error}".splitlines()[0]) from error
        line = 'mkdir -p "$(dirname %s)" && install -m %s %s %s && mv -f %s %s && rm -f %s'
        part = f"{path}.part"
        self.run(line, path, f"{mode:o}", remote, part, part, path, remote, timeout=60)

    def get(self, path: str) -> bytes:
        import base64

        done = self.run("base64 < %s", path, check=False)
        if done.exit_status:
            raise FileNotFoundError(f"{self.name}:{path}: {done.stderr.strip()}")
        return base64.b64decode(done.stdout)

    def names(self, directory: str) -> list[str]:
        done = self.run("ls -A %s", directory, check=False)
        return sorted(done.stdout.splitlines()) if done.exit_status == 0 else []
