"""Kubernetes 1.20.2 from Debian's source package.

The vendored modern-go/reflect2 1.0.1 corrupts memory with Go 1.18 and later (kubeadm then panics at "Writing
kubelet config"), so its folder is replaced by Debian's own package of 1.0.2 before anything is built.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from envctl.box.apt import Apt
from envctl.box.run import run

VERSION = "v1.20.2"
PAUSE = "3.2"
COMMANDS = (
    "kubeadm",
    "kubelet",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubectl",
)
BUILD_PACKAGES = ("golang-go", "golang-github-modern-go-reflect2-dev", "gcc", "libc6-dev")
REFLECT2 = Path("/usr/share/gocode/src/github.com/modern-go/reflect2")
VENDORED = Path("vendor/github.com/modern-go/reflect2")


def build(apt: Apt, home: Path, folder: Path) -> None:
    """Fill ``folder/bin`` with the commands and ``pause``, all static; the sources lie under ``home``.

    About seven minutes on two cores with nothing cached. ``home`` is always the same, because the compiler's
    own cache, kept there, goes by the path of the sources.
    """
    work = home / "work"
    shutil.rmtree(work, ignore_errors=True)
    tree = work / "src/k8s.io/kubernetes"
    _unpack(apt, work, tree)
    _compile(work, tree, home / "cache")
    binaries = folder / "bin"
    binaries.mkdir()
    for name in COMMANDS:
        shutil.copy(tree / "_output/local/bin/linux/amd64" / name, binaries / name)
    source = tree / "build/pause/linux/pause.c"
    run(["gcc", "-Os", "-static", f"-DVERSION=v{PAUSE}", "-o", binaries / "pause", source])
    # A memory-corrupting build shows itself here, in a second, and not in a guest minutes later.
    defaults = ["config", "print", "init-defaults", "--component-configs", "KubeletConfiguration"]
    run([binaries / "kubeadm", *defaults])
    shutil.rmtree(work)


def _unpack(apt: Apt, work: Path, tree: Path) -> None:
    tree.parent.mkdir(parents=True)
    dsc = apt.fetch_source("kubernetes", work)
    run(["dpkg-source", "--no-check", "-x", dsc, tree], cwd=work)
    shutil.rmtree(tree / VENDORED)
    shutil.copytree(REFLECT2, tree / VENDORED)


def _compile(work: Path, tree: Path, cache: Path) -> None:
    # Kubernetes' own scripts put the compiler's cache here, whatever GOCACHE says.
    compiled = tree / "_output/local/go/cache"
    compiled.parent.mkdir(parents=True)
    cache.mkdir(exist_ok=True)
    compiled.symlink_to(cache)
    environment = {
        "GOPATH": str(work),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
        "KUBE_GIT_VERSION": VERSION,
        "KUBE_GIT_MAJOR": "1",
        "KUBE_GIT_MINOR": "20",
        "KUBE_GIT_COMMIT": "unknown",
        "KUBE_GIT_TREE_STATE": "archive",
    }
    what = "WHAT=" + " ".join(f"cmd/{name}" for name in COMMANDS)
    run(["nice", "-n", "19", "make", what], cwd=tree, env=environment)
