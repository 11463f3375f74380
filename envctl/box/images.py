"""Container images in the docker-archive form, one layer each, from binaries we already have.

The control plane and pause are static binaries; etcd and kube-proxy bring Debian's programs with the
libraries they are linked to. kube-proxy needs a userland: iptables with its plugins, conntrack, ipset, kmod.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from envctl.box.kubernetes import PAUSE, VERSION
from envctl.box.run import run

REGISTRY = "k8s.gcr.io"
LOCAL = "envctl.local"
ETCD = "3.4.23-0"
BUSYBOX = f"{LOCAL}/busybox:debian12"
DNS_STAND_IN = f"{LOCAL}/dns-stand-in:debian12"
XTABLES = (
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
)
BUSYBOX_APPLETS = (
    "arping", "cat", "cp", "echo", "env", "grep", "head", "hostname", "httpd", "id", "ip", "kill", "ls", "mkdir",
    "nc", "netstat", "nslookup", "ping", "printf", "ps", "rm", "route", "sed", "sh", "sleep", "sort", "tail", "test",
    "timeout", "touch", "tr", "traceroute", "true", "udhcpc", "wc", "wget",
)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """What goes into one image: files of ours, programs of the root file system, links, what is run."""

    reference: str
    entrypoint: tuple[str, ...]
    files: tuple[tuple[Path, str], ...] = ()
    programs: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def file_name(self) -> str:
        """The name of the archive."""
        return self.reference.split("/")[-1].replace(":", "_") + ".tar"


def definitions(binaries: Path) -> list[Image]:
    """The images of the debian12 guest."""
    static = [
        Image(
            f"{REGISTRY}/{name}:{VERSION}",
            (f"/usr/local/bin/{name}",),
            ((binaries / name, f"usr/local/bin/{name}"),),
        )
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    proxy = Image(
        f"{REGISTRY}/kube-proxy:{VERSION}",
        ("/usr/local/bin/kube-proxy",),
        ((binaries / "kube-proxy", "usr/local/bin/kube-proxy"),),
        programs=("/usr/sbin/xtables-nft-multi", "/usr/sbin/conntrack", "/usr/sbin/ipset", "/usr/bin/kmod"),
        trees=("/usr/lib/x86_64-linux-gnu/xtables",),
        links=(
            *((f"usr/sbin/{name}", "xtables-nft-multi") for name in XTABLES),
            ("usr/sbin/modprobe", "../bin/kmod"),
        ),
    )
    busybox_links = tuple((f"usr/bin/{name}", "busybox") for name in BUSYBOX_APPLETS)
    return [
        *static,
        proxy,
        Image(f"{REGISTRY}/pause:{PAUSE}", ("/pause",), ((binaries / "pause", "pause"),)),
        Image(f"{REGISTRY}/etcd:{ETCD}", ("/usr/bin/etcd",), programs=("/usr/bin/etcd", "/usr/bin/etcdctl")),
        Image(BUSYBOX, ("/usr/bin/sh",), programs=("/usr/bin/busybox",), links=busybox_links),
        Image(DNS_STAND_IN, ("/usr/sbin/dnsmasq",), programs=("/usr/sbin/dnsmasq", "/usr/bin/busybox")),
    ]


def linked(report: str) -> list[str]:
    """The absolute paths of shared objects in what ``ldd`` says."""
    words = (word for line in report.splitlines() for word in line.split())
    return sorted({word for word in words if word.startswith("/") and not word.endswith(":")})


def _libraries(root: Path, objects: list[str]) -> list[str]:
    """What programs, and plugins that they load, are linked to."""
    return linked(run(["chroot", root, "/bin/sh", "-c", 'ldd "$@" 2>/dev/null || true', "sh", *objects]))


def _inside(root: Path, path: str) -> tuple[Path, str]:
    """The file behind ``path`` in ``root`` and its place in the image, after the merged /usr."""
    place = path.lstrip("/")
    if place.split("/")[0] in ("bin", "sbin", "lib", "lib64"):
        place = "usr/" + place
    source = root / place
    while source.is_symlink():
        target = source.readlink()
        source = root / target.relative_to("/") if target.is_absolute() else source.parent / target
    return source, place


def _members(image: Image, root: Path) -> dict[str, Path]:
    members = {place: source for source, place in image.files}
    wanted = list(image.programs)
    for tree in image.trees:
        wanted += [f"/{found.relative_to(root)}" for found in sorted((root / tree.lstrip("/")).rglob("*"))]
    for path in (*wanted, *(_libraries(root, wanted) if wanted else ())):
        source, place = _inside(root, path)
        members[place] = source
    return members


def _entry(name: str, kind: bytes, mode: int, **more: str | int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    for key, value in more.items():
        setattr(entry, key, value)
    return entry


def _layer(image: Image, root: Path, target: Path) -> str:
    """Write the layer; gives its sha256. Times and owners are zero, so equal inputs give equal layers."""
    members = _members(image, root)
    links = dict(image.links)
    links |= {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
    folders = sorted({str(parent) for name in (*members, *links) for parent in Path(name).parents} - {"."})
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as layer:
        for folder in (*folders, *({"etc", "usr/lib64", "usr/lib", "usr/bin", "usr/sbin"} - set(folders))):
            layer.addfile(_entry(folder, tarfile.DIRTYPE, 0o755))
        layer.addfile(_entry("tmp", tarfile.DIRTYPE, 0o1777))
        for place, source in sorted(members.items()):
            with source.open("rb") as content:
                layer.addfile(_entry(place, tarfile.REGTYPE, 0o755, size=source.stat().st_size), content)
        for place, destination in sorted(links.items()):
            layer.addfile(_entry(place, tarfile.SYMTYPE, 0o777, linkname=destination))
        passwd = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
        layer.addfile(_entry("etc/passwd", tarfile.REGTYPE, 0o644, size=len(passwd)), io.BytesIO(passwd))
    with target.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write(image: Image, root: Path, archive: Path) -> None:
    """Write one docker-archive with ``image``, programs and libraries from ``root``."""
    layer = archive.with_suffix(".layer")
    digest = _layer(image, root, layer)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": list(image.entrypoint),
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "envctl box build"}],
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [image.reference], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as out:
        for name, content in ((config_name, config), ("manifest.json", json.dumps(manifest).encode())):
            out.addfile(_entry(name, tarfile.REGTYPE, 0o644, size=len(content)), io.BytesIO(content))
        with layer.open("rb") as packed:
            out.addfile(_entry("layer.tar", tarfile.REGTYPE, 0o644, size=layer.stat().st_size), packed)
    layer.unlink()


def build(images: Iterable[Image], root: Path, folder: Path) -> None:
    """Write every image into ``folder``."""
    for image in images:
        write(image, root, folder / image.file_name)
