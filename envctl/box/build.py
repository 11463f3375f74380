"""``envctl box build``: from the package index to a Vagrant box, each part cached by what it is made from."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from envctl.box import disk, images, kubernetes, rootfs
from envctl.box.apt import Apt
from envctl.box.cache import Cache, Part, default_root, digest_files
from envctl.box.run import BoxError, run

NAME = "envctl/debian12"
PROVISION = Path(__file__).resolve().parents[2] / "provision"
GUEST = PROVISION / "debian12"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Box:
    """A finished box: what `vagrant box add` needs, and the binaries it carries for the workstation."""

    name: str
    version: str
    path: Path
    metadata: Path
    binaries: Path
    kernel: Path
    initrd: Path


def _begins_with_text(body: list[ast.stmt]) -> bool:
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)


def _recipe(*modules: ModuleType) -> str:
    """A digest over what the modules that make a part do: another recipe is another part.

    Comments, docstrings and layout are no part of it.
    """
    total = hashlib.sha256()
    for module in modules:
        tree = ast.parse(Path(str(module.__file__)).read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and _begins_with_text(body):
                body.pop(0)
        total.update(ast.dump(tree).encode())
    return total.hexdigest()


class _Timed:
    """One progress line per part: what, how long, or that it was there."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def ensure(
        self, cache: Cache, what: str, name: str, inputs: dict[str, str], make: Callable[[Path], None]
    ) -> Part:
        started = time.monotonic()
        part = cache.ensure(name, inputs, make)
        took = f"made in {time.monotonic() - started:.0f} s" if part.made else "cached"
        self.progress(f"box: {what}: {took} ({part.key})")
        return part


def build(cache_root: Path | None = None, progress: Progress = print) -> Box:
    """Make what is missing and give the box.

    Making one needs root (mmdebstrap, chroot) and the archives apt is configured for; who is not root is given the
    newest that is there. Raises BoxError.
    Nothing outside the cache folder is touched.
    """
    cache = Cache(cache_root or default_root())
    if os.geteuid():
        return _made_by_root(cache)
    timed = _Timed(progress)
    apt = Apt(cache.root / "apt")
    apt.configure()
    binaries = _kubernetes(cache, timed, apt)
    _offer(binaries.path / "bin/kubectl", cache.root / "bin/kubectl")
    root = _rootfs(cache, timed, apt)
    archives = timed.ensure(
        cache,
        "container images",
        "images",
        {"kubernetes": binaries.key, "rootfs": root.key, "recipe": _recipe(images)},
        lambda folder: images.build(images.definitions(binaries.path / "bin"), root.path / "root", folder),
    )
    box = timed.ensure(
        cache,
        "box",
        "box",
        {
            "kubernetes": binaries.key,
            "rootfs": root.key,
            "images": archives.key,
            "recipe": _recipe(disk, rootfs),
            "files": digest_files([GUEST], PROVISION),
        },
        lambda folder: _assemble(binaries.path, root.path / "root", archives.path, folder),
    )
    return _finished(box, binaries)


def _made_by_root(cache: Cache) -> Box:
    newest = {path.parent.name: Part(path.parent.name, path.name, path, made=False) for path in cache.parts()}
    if not {"box", "kubernetes"} <= newest.keys():
        raise BoxError(
            "the box's root file system can only be made by root",
            hint=f"sudo ENVCTL_CACHE={cache.root} envctl box build",
        )
    return _finished(newest["box"], newest["kubernetes"])


def _offer(program: Path, link: Path) -> None:
    """A stable name for the workstation's kubectl."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.symlink_to(program)
    fresh.replace(link)


def _kubernetes(cache: Cache, timed: _Timed, apt: Apt) -> Part:
    inputs = {
        "source": apt.source_version("kubernetes"),
        "recipe": _recipe(kubernetes),
        **apt.versions(kubernetes.BUILD_PACKAGES),
    }
    return timed.ensure(
        cache,
        f"Kubernetes {kubernetes.VERSION} from Debian's source package",
        "kubernetes",
        inputs,
        lambda folder: kubernetes.build(apt, cache.root / "go", folder),
    )


def _rootfs(cache: Cache, timed: _Timed, apt: Apt) -> Part:
    names = rootfs.packages(GUEST / "packages")
    inputs = {"recipe": _recipe(rootfs), **apt.versions(names)}
    return timed.ensure(
        cache, "root file system", "rootfs", inputs, lambda folder: rootfs.build(names, folder)
    )


def _assemble(binaries: Path, base: Path, archives: Path, folder: Path) -> None:
    root = folder / "root"
    run(["cp", "-a", "--reflink=auto", base, root])
    target = root / "usr/local/bin"
    for name in ("kubeadm", "kubelet", "kubectl"):
        shutil.copy(binaries / "bin" / name, target / name)
    rootfs.overlay(GUEST / "root", GUEST / "customize.sh", root)
    disk.import_images(archives, root, GUEST / "import-images.sh")
    disk.image(root, folder)
    run(["rm", "-rf", "--one-file-system", root])
    disk.pack(GUEST / "Vagrantfile.box", folder, folder / "debian12.box")
    version = time.strftime("%Y%m%d.%H%M%S.0", time.gmtime())
    (folder / "version").write_text(version + "\n")


def _finished(part: Part, binaries: Part) -> Box:
    version = (part.path / "version").read_text().strip()
    path = part.path / "debian12.box"
    metadata = part.path / "debian12.json"
    provider = {"name": "libvirt", "url": path.as_uri()}
    described = {"name": NAME, "versions": [{"version": version, "providers": [provider]}]}
    text = json.dumps(described, indent=1) + "\n"
    if not metadata.exists() or metadata.read_text() != text:
        metadata.write_text(text)
    return Box(
        NAME, version, path, metadata, binaries.path / "bin", part.path / "vmlinuz", part.path / "initrd.img"
    )
