"""The guest's root file system: Debian packages by mmdebstrap, then our files over it."""

from __future__ import annotations

import shutil
from pathlib import Path

from envctl.box.apt import RELEASE, configured_sources
from envctl.box.run import BoxError, run


def packages(listing: Path) -> list[str]:
    """The names in a list of ``package  why`` lines."""
    lines = (line.split("#", 1)[0].split() for line in listing.read_text().splitlines())
    return [words[0] for words in lines if words]


def build(names: list[str], folder: Path) -> None:
    """Fill ``folder/root`` with a bootable Debian that has the packages ``names``. Needs root."""
    root = folder / "root"
    sources = [source.line("deb") for source in configured_sources()]
    run(
        ["nice", "-n", "10", "mmdebstrap", "--mode=root", "--variant=minbase", "--quiet",
         "--aptopt=Acquire::Languages \"none\"",
         "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
         f"--include={','.join(names)}", RELEASE, root, *sources]
    )  # fmt: skip


def insecure_key() -> Path:
    """The public half of the key that Vagrant tries first, and replaces; from Vagrant's own package."""
    for installed in ("/usr/share/rubygems-integration/all/gems", "/opt/vagrant/embedded/gems"):
        for found in sorted(Path(installed).rglob("keys/vagrant.pub")):
            return found
    raise BoxError("Vagrant's public key was not found", hint="Install vagrant")


def overlay(files: Path, customize: Path, root: Path) -> None:
    """Lay our ``files`` over ``root`` and run the script ``customize`` inside it."""
    shutil.copy(insecure_key(), root / "etc/vagrant.pub")
    run(["cp", "-dR", "--preserve=mode,links", "--no-preserve=ownership", f"{files}/.", root])
    inside = root / "tmp/customize.sh"
    shutil.copy(customize, inside)
    run(["chroot", root, "/bin/bash", "-euo", "pipefail", "/tmp/customize.sh"])
    inside.unlink()
