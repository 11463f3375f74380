"""Work inside another network namespace without ever moving the caller there.

Namespaces belong to threads. One helper thread per process enters the namespace (setns(2), ``CLONE_NEWNET``),
makes the call and goes back home, so that it pins nobody's namespace when it is done; sockets opened by the
call stay where they were opened, and ``/proc/sys/net`` shows the namespace of the thread that looks.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from brdhcp.errors import InvalidNamespace

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
"""linux/sched.h"""
NS_GET_NSTYPE = 0xB703
"""linux/nsfs.h"""
SO_NETNS_COOKIE = 71
"""asm-generic/socket.h"""

_libc = ctypes.CDLL(None, use_errno=True)
_lock = threading.Lock()
_this = threading.local()
_helper: ThreadPoolExecutor | None = None
_home = -1


def run_in(fd: int, call: Callable[[], T]) -> T:
    """``call()`` inside the network namespace that ``fd`` is open on; what it returns or raises comes back.

    Raises :class:`InvalidNamespace` when ``fd`` is not a network namespace. Calls queue up: keep them short.
    A thread that said ``may_enter`` goes there itself.
    """
    if getattr(_this, "may_enter", False):
        return _inside(fd, call)
    return _thread().submit(_inside, fd, call).result()


def start() -> None:
    """The helper thread is there from now on, not from the first call on."""
    _thread().submit(int)


def may_enter() -> None:
    """The calling thread may visit other namespaces: nothing that runs in it relies on where it is in between."""
    _thread()  # knows the way home
    _this.may_enter = True


def identity(namespace: int | str | os.PathLike[str]) -> tuple[int, int]:
    """``(st_dev, st_ino)`` of a namespace given as descriptor or path; two are the same iff these are
    (namespaces(7)). A dead one's number may be given to the next."""
    try:
        status = os.stat(namespace)  # noqa: PTH116 (descriptors, too)
    except OSError as error:
        raise InvalidNamespace(
            f"network namespace {namespace!s} cannot be looked at: {error.strerror}"
        ) from error
    return status.st_dev, status.st_ino


def cookie(fd: int) -> int | None:
    """The number of a network namespace that no other one will have before the next boot (SO_NETNS_COOKIE, Linux
    5.14); None where the kernel knows none. Raises :class:`InvalidNamespace`.
    """

    def ask() -> int | None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            return cookie_of(sock)

    return run_in(fd, ask)


def cookie_of(sock: socket.socket) -> int | None:
    """The same, of the namespace that a socket was opened in."""
    try:
        return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)
    except OSError:
        return None


def is_network(fd: int) -> bool:
    """Whether ``fd`` is open on a network namespace (ioctl_ns(2), NS_GET_NSTYPE)."""
    try:
        return fcntl.ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET
    except OSError:
        return False


def _thread() -> ThreadPoolExecutor:
    global _helper, _home
    with _lock:
        if _helper is None:
            _home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            _helper = ThreadPoolExecutor(1, thread_name_prefix="netns")
        return _helper


def _forget() -> None:
    """A forked child has the parent's executor, but not its thread."""
    global _helper, _lock
    _helper, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _inside(fd: int, call: Callable[[], T]) -> T:
    _setns(fd)
    try:
        return call()
    finally:
        _setns(_home)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        number = ctypes.get_errno()
        what = Path(f"/proc/self/fd/{fd}")
        name = str(what.readlink()) if what.is_symlink() else f"descriptor {fd}"
        raise InvalidNamespace(
            f"{name} is not a network namespace that can be entered: {os.strerror(number)}"
        )
