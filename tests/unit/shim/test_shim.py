"""The shim as a runtime meets it: a process with variables and stdin, and a real socket at the other end.

Both shims: the Python one, and its compiled twin, with the compiler's own checks of memory and arithmetic on.
"""

from __future__ import annotations

import array
import ast
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from brdhcp.agent import wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / "plugin/shim/brdhcp"
SOURCE = ROOT / "plugin/shim/brdhcp.c"
CHECKED = "-std=c11 -g -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all"
CONF = b'{"cniVersion": "1.0.0", "name": "mycninet", "type": "brdhcp"}'

ALLOWED_IMPORTS = {
    *("_io", "marshal", "posix", "_frozen_importlib_external", "time", "zipimport", "_codecs", "codecs"),
    *("encodings", "encodings.aliases", "encodings.utf_8", "_signal", "_abc", "abc", "io", "_stat", "stat"),
    *("_socket", "winreg"),
}

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


class Agent:
    """A socket that answers one connection with ``answer``, and keeps what it was asked."""

    def __init__(self, path: Path, answer: Callable[[socket.socket], None]) -> None:
        self.path = path
        self.env: dict[str, str] = {}
        self.stdin = b""
        self.descriptors: list[tuple[int, int]] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Agent:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self._receive(connection)
            with contextlib.suppress(BrokenPipeError):
                self._answer(connection)

    def _receive(self, connection: socket.socket) -> None:
        data, wanted = b"", None
        while wanted is None or len(data) < wanted:
            chunk, ancillary, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4))
            for _, _, payload in ancillary:
                for descriptor in array.array("i", payload):
                    status = os.fstat(descriptor)
                    self.descriptors.append((status.st_dev, status.st_ino))
                    os.close(descriptor)
            data += chunk
            if wanted is None and (head := wire.split_header(data)) is not None:
                wanted, data = head
        self.env, self.stdin = wire.decode_body(data)


def saying(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("shim") / "brdhcp"
    subprocess.run(["cc", *CHECKED.split(), "-o", made, SOURCE], check=True)
    return made


@pytest.fixture(params=["python", "compiled"])
def executable(request: pytest.FixtureRequest, compiled: Path) -> Path:
    """One of the two."""
    return PYTHON if request.param == "python" else compiled


class Shim(Protocol):
    """Run it; exit status, stdout as JSON (None when empty), stderr. A variable that is ``-`` is left out."""

    def __call__(
        self, folder: Path, command: str, stdin: bytes = CONF, **env: str
    ) -> tuple[int, Any, str]: ...


@pytest.fixture
def shim(executable: Path) -> Shim:
    return partial(run, executable)


def run(
    executable: Path, folder: Path, command: str, stdin: bytes = CONF, **env: str
) -> tuple[int, Any, str]:
    variables = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/proc/self/ns/net",
        "CNI_IFNAME": "eth0",
        "BRDHCP_SOCKET": str(folder / "agent.sock"),
        "BRDHCP_SPOOL": str(folder / "spool"),
        "HOME": "/root",
    }
    done = subprocess.run(
        [executable],
        input=stdin,
        env={k: v for k, v in (variables | env).items() if v != "-"},
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr.decode()


def test_variables_stdin_and_namespace_go_over_and_the_answer_comes_back(shim: Shim, folder: Path) -> None:
    with Agent(folder / "agent.sock", saying(b'0\n{"cniVersion": "1.0.0"}')) as agent:
        status, answer, stderr = shim(folder, "ADD", CNI_ARGS="A=1", CNI_PATH="/opt/cni/bin")
    assert (status, answer, stderr) == (0, {"cniVersion": "1.0.0"}, "")
    assert agent.stdin == CONF
    assert agent.env == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/proc/self/ns/net",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "A=1",
        "CNI_PATH": "/opt/cni/bin",
        "BRDHCP_ROLE": "main",
    }
    here = Path("/proc/self/ns/net").stat()
    assert agent.descriptors == [(here.st_dev, here.st_ino)]


def test_an_error_of_the_agent_comes_back_whole(shim: Shim, folder: Path) -> None:
    error = {"cniVersion": "1.0.0", "code": 102, "msg": "é\n", "details": "d"}
    with Agent(folder / "agent.sock", saying(b"1\n" + json.dumps(error).encode())):
        status, answer, _ = shim(folder, "CHECK")
    assert (status, answer) == (1, error)


def test_the_same_file_under_its_second_name_is_the_ipam_half(executable: Path, folder: Path) -> None:
    second = folder / "brdhcp-ipam"
    second.symlink_to(executable)
    with Agent(folder / "agent.sock", saying(b"0\n{}")) as agent:
        run(second, folder, "ADD")
    assert agent.env["BRDHCP_ROLE"] == "ipam"


def test_a_namespace_that_is_gone_is_left_to_the_agent_to_judge(shim: Shim, folder: Path) -> None:
    with Agent(folder / "agent.sock", saying(b"0\n")) as agent:
        status, answer, _ = shim(folder, "DEL", CNI_NETNS="/run/netns/gone")
    assert (status, answer, agent.descriptors) == (0, None, [])


def test_a_large_request_and_a_large_answer_go_through(shim: Shim, folder: Path) -> None:
    stdin = b'{"cniVersion": "1.0.0", "x": "' + b"a" * 900_000 + b'"}'
    answer = b'{"y": "' + b"b" * 900_000 + b'"}'
    with Agent(folder / "agent.sock", saying(b"0\n" + answer)) as agent:
        status, got, _ = shim(folder, "ADD", stdin)
    assert (status, agent.stdin, len(got["y"])) == (0, stdin, 900_000)


def test_a_request_that_is_no_request_any_more_is_refused(shim: Shim, folder: Path) -> None:
    status, answer, _ = shim(folder, "ADD", b"x" * (1 << 20))
    assert (status, answer["code"]) == (1, 7)


def test_the_socket_of_the_configuration_is_used(shim: Shim, folder: Path) -> None:
    conf = json.dumps({"name": "n", "ipam": {"daemonSocketPath": str(folder / "other.sock")}}).encode()
    with Agent(folder / "other.sock", saying(b"0\n{}")):
        assert shim(folder, "ADD", conf, BRDHCP_SOCKET="-")[0] == 0


def test_version_is_answered_without_an_agent(shim: Shim, folder: Path) -> None:
    versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    status, answer, _ = shim(folder, "VERSION", b'{"cniVersion": "0.4.0"}')
    assert (status, answer) == (0, {"cniVersion": "0.4.0", "supportedVersions": versions})
    assert shim(folder, "VERSION", b"")[1]["cniVersion"] == "1.1.0"


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)])
def test_without_an_agent_the_answer_says_how_to_start_it(
    shim: Shim, folder: Path, command: str, code: int
) -> None:
    status, answer, _ = shim(folder, command)
    assert (status, answer["code"], answer["cniVersion"]) == (1, code, "1.0.0")
    assert str(folder / "agent.sock") in answer["msg"]
    assert "systemctl start brdhcpd" in answer["details"]


def test_a_del_without_an_agent_is_written_down_once_and_succeeds(shim: Shim, folder: Path) -> None:
    for _ in range(2):
        assert shim(folder, "DEL", CNI_ARGS="A=1") == (0, None, "")
    (spooled,) = (folder / "spool").iterdir()
    env, stdin = wire.decode_body(spooled.read_bytes())
    assert (env["CNI_COMMAND"], env["CNI_CONTAINERID"], env["CNI_ARGS"], stdin) == ("DEL", "c1", "A=1", CONF)
    assert spooled.name == "c1-eth0.del"
    assert spooled.stat().st_mode & 0o777 == 0o600


def test_names_in_the_spool_never_leave_it_and_never_meet(shim: Shim, folder: Path) -> None:
    for container_id, if_name in (("../../x", "eth0"), ("a-b", "c"), ("a", "b-c")):
        shim(folder, "DEL", CNI_CONTAINERID=container_id, CNI_IFNAME=if_name)
    names = sorted(path.name for path in (folder / "spool").iterdir())
    assert names == ["..%2f%..%2f%x-eth0.del", "a%2d%b-c.del", "a-b%2d%c.del"]


def test_a_del_that_cannot_be_written_down_may_come_again(shim: Shim, folder: Path) -> None:
    status, answer, _ = shim(folder, "DEL", BRDHCP_SPOOL="/proc/spool")
    assert (status, answer["code"]) == (1, 11)
    assert "could not be written down" in answer["msg"]


@pytest.mark.parametrize("answer", [b"", b"0\n", b'0\n{"cniVersion": "1.0', b"1\n", b"1"])
def test_an_answer_that_breaks_off_is_no_success(shim: Shim, folder: Path, answer: bytes) -> None:
    with Agent(folder / "agent.sock", saying(answer)):
        status, got, _ = shim(folder, "ADD")
    assert (status, got["code"]) == (1, 999 if answer == b"1" else 11)


def test_an_agent_that_dies_over_a_del_gets_it_again(shim: Shim, folder: Path) -> None:
    with Agent(folder / "agent.sock", saying(b"")):
        assert shim(folder, "DEL")[0] == 0
    assert [path.name for path in (folder / "spool").iterdir()] == ["c1-eth0.del"]


def test_somebody_else_at_the_socket_is_called_by_what_he_said(shim: Shim, folder: Path) -> None:
    with Agent(folder / "agent.sock", saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")):
        status, answer, _ = shim(folder, "ADD")
    assert (status, answer["code"]) == (1, 999)
    assert "HTTP/1.1 400" in answer["msg"]
    assert "daemonSocketPath" in answer["details"]


def test_a_silent_agent_is_left_at_the_deadline(shim: Shim, folder: Path) -> None:
    released = threading.Event()

    def silent(_: socket.socket) -> None:
        released.wait(10)

    begun = time.monotonic()
    with Agent(folder / "agent.sock", silent):
        status, answer, _ = shim(folder, "ADD", BRDHCP_DEADLINE="0.2")
        released.set()
    assert (status, answer["code"]) == (1, 11)
    assert "within 0.2 s" in answer["msg"]
    assert time.monotonic() - begun < 5


def test_an_agent_whose_backlog_is_full_is_waited_for_until_the_deadline(shim: Shim, folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(str(folder / "agent.sock"))
        listener.listen(0)
        with pytest.raises(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                waiting.setblocking(False)
                waiting.connect(str(folder / "agent.sock"))
        begun = time.monotonic()
        status, answer, _ = shim(folder, "ADD", BRDHCP_DEADLINE="0.2")
        assert (status, answer["code"]) == (1, 11)
        assert "within 0.2 s" in answer["msg"]
        assert 0.2 <= time.monotonic() - begun < 5


def test_the_python_shim_needs_nothing_newer_than_the_python_it_names() -> None:
    text = PYTHON.read_text()
    assert "any Python 3 from 3.6 on" in text
    assert ast.parse(text, feature_version=(3, 6))
    for newer in ("isascii", "removeprefix", "removesuffix", ":="):
        assert newer not in text


def test_a_call_that_is_none_says_so(shim: Shim, folder: Path) -> None:
    status, answer, stderr = shim(folder, "-", b"")
    assert (status, answer["code"], answer["msg"]) == (1, 4, "CNI_COMMAND is missing")
    assert "CNI plugin" in stderr
    assert shim(folder, "UPDATE")[1]["msg"] == 'CNI_COMMAND is "UPDATE"'


@pytest.mark.parametrize(
    "stdin", [b"", b"\xff\xfe", b'{"cniVersion"', b'{"cniVersion": 5}', b'{"cniVersion": "\\"}']
)
def test_stdin_that_is_not_json_still_gets_json_back(shim: Shim, folder: Path, stdin: bytes) -> None:
    status, answer, _ = shim(folder, "STATUS", stdin)
    assert (status, answer["code"], answer["cniVersion"]) == (1, 50, "0.1.0")


@pytest.mark.parametrize("said", ["é中🙂", 'a"\\b\t\x7f'])
def test_what_is_quoted_is_quoted_as_json_wants_it(shim: Shim, folder: Path, said: str) -> None:
    assert shim(folder, said)[1]["msg"] == f'CNI_COMMAND is "{said}"'


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf5", b"\xe4\xb8"]
)
def test_what_is_not_utf8_still_gives_json(shim: Shim, folder: Path, bad: bytes) -> None:
    status, answer, _ = shim(folder, "STATUS", b'{"cniVersion": "' + bad + b'"}')
    assert (status, answer["code"]) == (1, 50)
    assert set(answer["cniVersion"]) == {"\ufffd"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    command=st.sampled_from(["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION", "ADD, DEL"]) | WORDS,
    stdin=st.binary()
    | st.builds('{{"cniVersion"{}"{}"}}'.format, st.sampled_from(": :,"), WORDS).map(str.encode),
    socket=WORDS,
    container=WORDS,
)
def test_the_two_say_the_same_whatever_they_are_asked(
    compiled: Path, tmp_path: Path, command: str, stdin: bytes, socket: str, container: str
) -> None:
    asked = {
        "BRDHCP_SOCKET": f"/proc/{socket}",
        "CNI_CONTAINERID": container,
        "CNI_NETNS": f"/proc/{container}",
    }
    assert run(compiled, tmp_path, command, stdin, **asked) == run(PYTHON, tmp_path, command, stdin, **asked)


def test_nothing_is_imported_that_takes_time() -> None:
    argv = ["/usr/bin/python3", "-IS", "-X", "importtime", str(PYTHON)]
    done = subprocess.run(
        argv, input=b"", env={"CNI_COMMAND": "VERSION"}, capture_output=True, timeout=20, check=True
    )
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip() for line in lines[1:]}
    assert {"encodings", "_socket"} <= imported
    assert imported <= ALLOWED_IMPORTS


def test_the_linters_have_nothing_to_say() -> None:
    tools = Path(sys.executable).parent
    for argv in (
        ["ruff", "check", "--no-cache"],
        ["ruff", "format", "--no-cache", "--check"],
        ["mypy", "--strict"],
    ):
        done = subprocess.run(
            [tools / argv[0], *argv[1:], PYTHON], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stdout + done.stderr
