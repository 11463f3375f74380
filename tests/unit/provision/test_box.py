"""Parts of the box that are pure: package index, libraries, images."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from envctl.box.apt import Source, parse_policy, parse_sources
from envctl.box.images import Image, definitions, linked, write
from envctl.box.rootfs import packages
from envctl.box.run import BoxError, run

ROOT = Path(__file__).parents[3]


def test_sources_are_those_of_the_machine_without_repeats() -> None:
    report = "http://one/ bookworm main\nhttp://one/ bookworm main\nhttp://two/ bookworm-security main\n\n"
    sources = parse_sources(report)
    assert sources == [
        Source("http://one/", "bookworm", "main"),
        Source("http://two/", "bookworm-security", "main"),
    ]
    assert sources[0].line("deb-src") == "deb-src http://one/ bookworm main"


def test_a_package_without_a_candidate_is_not_found() -> None:
    report = "one:\n  Installed: (none)\n  Candidate: 1.0-2\n  Version table:\n     1.0-2 500\n"
    report += "two:\n  Candidate: (none)\n"
    assert parse_policy(report) == {"one": "1.0-2"}


def test_the_libraries_of_a_program_are_read_from_ldd() -> None:
    report = (
        "\tlinux-vdso.so.1 (0x0000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x0000)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x0000)\n"
    )
    assert linked(report) == ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]


def test_an_image_is_a_docker_archive_and_the_same_twice(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    image = Image(
        "k8s.gcr.io/pause:3.2", ("/pause",), ((program, "pause"),), links=(("usr/bin/sh", "busybox"),)
    )
    assert image.file_name == "pause_3.2.tar"
    archives = []
    for name in ("one.tar", "two.tar"):
        write(image, tmp_path, tmp_path / name)
        archives.append((tmp_path / name).read_bytes())
    assert archives[0] == archives[1]
    with tarfile.open(tmp_path / "one.tar") as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json") or pytest.fail("no manifest"))
        config = json.load(archive.extractfile(manifest["Config"]) or pytest.fail("no configuration"))
        with tarfile.open(fileobj=archive.extractfile("layer.tar")) as layer:
            names = layer.getnames()
            link = layer.getmember("usr/bin/sh")
    assert manifest["RepoTags"] == ["k8s.gcr.io/pause:3.2"]
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert {"pause", "bin", "lib64", "etc/passwd", "tmp"} <= set(names)
    assert link.linkname == "busybox"


def test_the_libraries_of_kube_proxys_iptables_plugins_are_in_its_image(tmp_path: Path) -> None:
    """libxt_statistic.so, by which a Service chooses a pod, wants libm; iptables itself does not.

    The image's own linker fails, naming the library, where one is missing.
    """
    (proxy,) = (image for image in definitions(tmp_path) if image.trees)
    (tree,) = proxy.trees
    iptables = "/usr/sbin/xtables-nft-multi"
    assert iptables in proxy.programs
    image = replace(proxy, files=(), programs=(iptables,))
    write(image, Path("/"), tmp_path / "image.tar")
    inside = tmp_path / "inside"
    inside.mkdir()
    run(["tar", "-xf", tmp_path / "image.tar", "-C", tmp_path])
    run(["tar", "-xf", tmp_path / "layer.tar", "-C", inside])
    plugins = sorted(path.name for path in (inside / tree.lstrip("/")).iterdir())
    linker = ["chroot", str(inside), "/lib64/ld-linux-x86-64.so.2", "--list"]
    libraries = {name: run([*linker, f"{tree}/{name}"]) for name in plugins}
    assert "libm.so.6 => " in libraries["libxt_statistic.so"]
    assert "statistic match options" in run(
        ["chroot", inside, iptables, "iptables", "-m", "statistic", "--help"]
    )


def test_a_command_that_fails_says_what_it_was_and_what_it_said() -> None:
    with pytest.raises(BoxError, match="sh -c 'echo broken; exit 3' failed with exit status 3") as caught:
        run(["sh", "-c", "echo broken; exit 3"])
    assert "broken" in caught.value.cause


def test_a_missing_program_is_named_with_what_installs_it() -> None:
    with pytest.raises(BoxError, match="no-such-program is not installed") as caught:
        run(["no-such-program"])
    assert "packages.vm" in caught.value.hint


def test_the_guest_has_every_package_that_its_images_are_made_of() -> None:
    names = packages(ROOT / "provision/debian12/packages")
    needed = {
        "etcd-server",
        "iptables",
        "conntrack",
        "ipset",
        "kmod",
        "busybox-static",
        "dnsmasq-base",
        "containerd",
    }
    assert needed <= set(names)
    assert len(names) == len(set(names))
