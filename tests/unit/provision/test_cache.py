"""The cache of the box's parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from envctl.box.cache import Cache, default_root, digest_files


def test_a_part_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "content").write_text("made")

    cache = Cache(tmp_path)
    first, second = cache.ensure("part", {"a": "1"}, make), cache.ensure("part", {"a": "1"}, make)
    assert (first.made, second.made, len(calls)) == (True, False, 1)
    assert (second.path / "content").read_text() == "made"
    assert cache.ensure("part", {"a": "2"}, make).key != first.key


def test_a_part_whose_making_failed_is_not_there(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        cache.ensure("part", {"a": "1"}, fail)
    assert cache.parts() == []
    part = cache.ensure("part", {"a": "1"}, lambda folder: None)
    assert part.made
    assert not (part.path / "half").exists()
    assert cache.parts() == [part.path]


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENVCTL_CACHE", str(tmp_path / "here"))
    assert default_root() == tmp_path / "here"
    monkeypatch.delenv("ENVCTL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg/envctl"


def test_the_digest_of_files_sees_contents_names_modes_and_links(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder/file"
    file.write_text("one")
    seen = {digest_files([tmp_path / "folder"], tmp_path)}
    file.write_text("two")
    seen.add(digest_files([tmp_path / "folder"], tmp_path))
    file.chmod(0o755)
    seen.add(digest_files([tmp_path / "folder"], tmp_path))
    (tmp_path / "folder/link").symlink_to("file")
    seen.add(digest_files([tmp_path / "folder"], tmp_path))
    file.rename(tmp_path / "folder/other")
    seen.add(digest_files([tmp_path / "folder"], tmp_path))
    assert len(seen) == 5
    assert digest_files([tmp_path / "folder"], tmp_path) in seen
