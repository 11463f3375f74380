"""Makes the processes that *are* the lab's machines and pods; started as ``python3 -I -S lab_init.py``, never
imported.

It runs before every environment and every pod, so it imports next to nothing: an interpreter like this one is
up in some 15 ms. Each machine is forked from here into namespaces of its own (network, mount, UTS, PID),
prepares its file system, and becomes an idle process whose first argument says what it is: ``envctl-lab
<env>/<machine>`` or ``envctl-pod <env>/<node>/<pod>``. Killing that process removes all there is in it.

    lab_init.py machine ARGV0 HOSTNAME DIRECTORY FORWARD [...]   prints one process id per machine
    lab_init.py pod ARGV0 HOSTNAME NETNS RESOLV_CONF              binds the namespace at NETNS
"""

import _socket
import ctypes
import fcntl
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x4000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LAYERED = ("/etc", "/opt", "/var/lib")
"""What a machine may write to without touching this one: its own layer is below DIRECTORY/disk, made by the
caller.
"""

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: object) -> None:
    """One C library call; OSError with what was tried."""
    if getattr(libc, name)(*args) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}{args}: {os.strerror(errno)}")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, text.encode())
    os.close(fd)


def let_go_of_namespaces() -> None:
    """Unmount the copies of what is mounted below /run (/run/netns/…): handles of other namespaces would keep
    those alive as long as us, and a /run of our own hides them anyway. Newest first, as they may lie on top
    of each other.
    """
    with open("/proc/self/mountinfo") as mounts:  # noqa: PTH123
        points = [point for line in mounts if (point := line.split()[4]).startswith("/run/")]
    for point in reversed(points):
        libc.umount2(point.encode(), MNT_DETACH)  # where folders are shared, one call takes away several


def own_kernel_views(hostname: str) -> None:
    """/proc and /sys of the new namespaces, the host name, loopback up."""
    let_go_of_namespaces()
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _socket.sethostname(hostname)
    with_flags = b"lo".ljust(16, b"\0") + IFF_UP.to_bytes(2, sys.byteorder) + bytes(14)
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    fcntl.ioctl(sock.fileno(), SIOCSIFFLAGS, with_flags)
    sock.close()


def prepare_machine(hostname: str, directory: str, forward: str) -> None:
    for path in LAYERED:
        layers = f"lowerdir={path},upperdir={directory}/disk{path},workdir={directory}/work{path}"
        mount("overlay", path, "overlay", 0, layers)
    own_kernel_views(hostname)
    mount(f"{directory}/boot_id", "/proc/sys/kernel/random/boot_id", "", MS_BIND)
    mount(f"{directory}/run", "/run", "", MS_BIND)
    write("/proc/sys/net/ipv4/ip_forward", forward)
    for scope in ("all", "default"):  # the new namespace has inherited this machine's setting
        write(f"/proc/sys/net/ipv4/conf/{scope}/rp_filter", "0")
    no_dad = "/proc/sys/net/ipv6/conf/default/accept_dad"
    if forward == "1" and os.path.exists(no_dad):  # noqa: PTH110
        write(no_dad, "0")  # a router answers the first solicitation, which comes while others still look


def prepare_pod(hostname: str, resolv_conf: str) -> None:
    own_kernel_views(hostname)
    mount(resolv_conf, "/etc/resolv.conf", "", MS_BIND)


def become_idle(argv0: str) -> None:
    """Replace this process by one that waits for ever and leaves no zombies (SIGCHLD stays ignored)."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    read, write_end = os.pipe()
    os.dup2(read, 0)
    os.set_inheritable(write_end, True)  # its own writer: the read never ends
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.chdir("/")
    os.execve("/bin/bash", [argv0, "--norc", "-c", "read -r"], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def start(argv0: str, prepare: "tuple[object, ...]") -> int:
    """Fork a holder; answers the end of a pipe that says its process id, then what went wrong (nothing: it is
    ready).
    """
    read, report = os.pipe()
    if os.fork():
        os.close(report)
        return read
    try:
        os.setsid()
        call("unshare", CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID)
        call("mount", None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None)
        pid = os.fork()
        if pid:
            os.write(report, f"{pid}\n".encode())
            os._exit(0)
        function, *args = prepare
        function(*args)  # type: ignore[operator]
        become_idle(argv0)
    except BaseException as error:
        os.write(report, f"{argv0}: {error}\n".encode())
    os._exit(1)


def ready(report: int) -> int:
    """The process id of a holder once it is ready; SystemExit with what it said otherwise."""
    said = b""
    while chunk := os.read(report, 4096):
        said += chunk
    lines = said.decode(errors="replace").split("\n")
    pids = [line for line in lines if line.isdigit()]
    wrong = [line for line in lines if line and not line.isdigit()]
    if wrong or not pids:
        raise SystemExit("; ".join(wrong) or "a machine's process ended at once")
    return int(pids[0])


def main(argv: "list[str]") -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.umask(0o022)
    if argv[0] == "machine":
        specs = [argv[at : at + 4] for at in range(1, len(argv), 4)]
        reports = [start(argv0, (prepare_machine, *rest)) for argv0, *rest in specs]
        for report in reports:
            print(ready(report))
        return
    argv0, hostname, netns, resolv_conf = argv[1:]
    pid = ready(start(argv0, (prepare_pod, hostname, resolv_conf)))
    write(netns, "")
    mount(f"/proc/{pid}/ns/net", netns, "", MS_BIND)


main(sys.argv[1:])
