"""The journal: what was written is read again, a torn end says nothing, damage is not passed over."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from brdhcp.errors import StoreFailure
from brdhcp.netlink import codec
from brdhcp.netlink.change import Address, AddressAdd, NextHop, Route, RouteAdd, Rule, RuleAdd, SysctlSet
from brdhcp.netlink.journal import Journal
from hypothesis import given
from hypothesis import strategies as st


def written(path: Path) -> Journal:
    journal = Journal(path / "journal")
    journal.begin({"header": 1})
    for step in range(3):
        journal.write({"step": step})
    return journal


def test_everything_written_is_read_in_order(tmp_path: Path) -> None:
    assert written(tmp_path).read() == [{"header": 1}, {"step": 0}, {"step": 1}, {"step": 2}]


def test_without_a_journal_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal").read() == []


def test_a_new_one_takes_the_place_of_the_old(tmp_path: Path) -> None:
    journal = written(tmp_path)
    journal.begin({"header": 2})
    assert journal.read() == [{"header": 2}]


def test_cut_off_at_any_octet_it_tells_a_beginning_of_what_was_written(tmp_path: Path) -> None:
    journal = written(tmp_path)
    whole, data = journal.read(), journal.path.read_bytes()
    for length in range(len(data)):
        journal.path.write_bytes(data[:length])
        told = journal.read()
        assert told == whole[: len(told)]
        assert len(told) >= data[:length].count(b"\n")


def test_what_is_written_after_a_cut_is_read_whole_and_the_torn_line_is_gone(tmp_path: Path) -> None:
    journal = written(tmp_path)
    data = journal.path.read_bytes()
    for length in range(1, len(data) + 1):
        journal.path.write_bytes(data[:length])
        whole = data[:length].count(b"\n")
        journal.write({"after": 1})
        journal.write({"after": 2})
        told = journal.read()
        assert (len(told), told[-2:]) == (whole + 2, [{"after": 1}, {"after": 2}])


def test_a_disk_that_takes_a_part_of_a_line_is_a_failure_that_leaves_the_journal_as_it_was(
    tmp_path: Path,
) -> None:
    journal = written(tmp_path)
    before = journal.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))  # the kernel then writes five octets
    try:
        with pytest.raises(StoreFailure, match="cannot write"):
            journal.write({"more": "than five octets"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.path.read_bytes() == before


def test_damage_in_the_middle_is_said_with_its_line(tmp_path: Path) -> None:
    journal = written(tmp_path)
    lines = journal.path.read_bytes().split(b"\n")
    lines[1] = b"\0" * len(lines[1])
    journal.path.write_bytes(b"\n".join(lines))
    with pytest.raises(StoreFailure, match="damaged in line 2") as damage:
        journal.read()
    assert "runbook" in damage.value.details


def test_what_cannot_be_written_is_a_failure_before_anything_is_touched(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(StoreFailure, match="cannot write"):
        Journal(tmp_path / "journal").begin({})


numbers = st.none() | st.integers(0, 2**32 - 2)
names = st.text("abc09.:-", min_size=1, max_size=15)
changes = st.one_of(
    st.builds(SysctlSet, path=names, value=st.text(max_size=9)),
    st.builds(AddressAdd, address=st.builds(
        Address, dev=names, address=names, label=st.none() | names, valid_lft=numbers,
    )),
    st.builds(RuleAdd, rule=st.builds(
        Rule, family=st.just(2), priority=st.integers(0, 32767), table=st.integers(0, 2**32 - 1),
        attrs=st.dictionaries(names, st.integers(0, 9) | names, max_size=3),
    )),
    st.builds(RouteAdd, replace=st.booleans(), prepend=st.booleans(), route=st.builds(
        Route, family=st.just(10), dst=names, dev=st.none() | names, metric=numbers, expires=numbers,
        metrics=st.dictionaries(names, st.integers(0, 9), max_size=3),
        multipath=st.lists(st.builds(NextHop, dev=names, weight=st.integers(1, 256)), max_size=3).map(tuple),
    )),
)  # fmt: skip


@given(st.lists(changes, max_size=4).map(tuple))
def test_a_change_comes_out_of_json_as_it_went_in(steps: tuple[object, ...]) -> None:
    assert codec.from_json(codec.to_json(steps)) == steps


@pytest.mark.parametrize(
    "text", [{"is": "Nobody"}, {"is": "SysctlSet", "path": "a"}, {"is": "Rule", "what": 1}]
)
def test_what_was_never_written_here_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a record of ours"):
        codec.from_json(text)
