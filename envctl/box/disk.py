"""Root file system → ext4 → qcow2 → Vagrant box, without a loop device or a boot loader.

The box boots its kernel directly: kernel and initial ram disk lie beside the disk in the box, and the box's
own Vagrantfile names them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from envctl.box.run import run

SIZE_GB = 12


def import_images(archives: Path, root: Path, script: Path) -> None:
    """Put the images into the containerd store of ``root``: in an emulated guest it takes six times longer.

    ``script`` runs in a chroot with mounts and a process namespace of its own; when it ends, all of it ends.
    """
    inside = root / "tmp/images"
    shutil.copytree(archives, inside)
    shutil.copy(script, root / "tmp/import-images.sh")
    command = (
        'mount --make-rprivate / && mount -t proc proc "$1/proc" && mount -t sysfs sys "$1/sys" && '
        'mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/run" && '
        'exec chroot "$1" /bin/bash -euo pipefail /tmp/import-images.sh'
    )
    run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", command, "sh", root])
    shutil.rmtree(inside)
    (root / "tmp/import-images.sh").unlink()


def image(root: Path, folder: Path) -> None:
    """Write ``folder/box.img`` (qcow2) from ``root``, and its kernel and initial ram disk beside it."""
    boot = root / "boot"
    shutil.copy(next(iter(sorted(boot.glob("vmlinuz-*")))), folder / "vmlinuz")
    shutil.copy(next(iter(sorted(boot.glob("initrd.img-*")))), folder / "initrd.img")
    raw = folder / "box.raw"
    run(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, raw, f"{SIZE_GB}G"])
    run(["qemu-img", "convert", "-O", "qcow2", raw, folder / "box.img"])
    raw.unlink()


def pack(vagrantfile: Path, folder: Path, target: Path) -> None:
    """Pack what lies in ``folder`` as the box ``target``."""
    metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": SIZE_GB}
    (folder / "metadata.json").write_text(json.dumps(metadata) + "\n")
    shutil.copy(vagrantfile, folder / "Vagrantfile")
    members = ("metadata.json", "Vagrantfile", "vmlinuz", "initrd.img", "box.img")
    run(["tar", "--create", "--file", target, "--use-compress-program", "pigz -1", "-C", folder, *members])
    for name in members:
        if name not in ("vmlinuz", "initrd.img"):
            (folder / name).unlink()
