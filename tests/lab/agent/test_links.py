"""Links that are deleted, one or many at once: gone for everybody when that is answered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from brdhcp.agent.links import Links
from brdhcp.netlink import netns
from brdhcp.netlink.change import LinkAdd, LinkDelete
from brdhcp.netlink.kernel import Kernel, KernelError

from tests.lab.lan import Machine

Story = Callable[[Callable[[Links, Kernel], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play() -> Iterator[Story]:
    """Runs a coroutine with links and a kernel in a namespace of its own: an agent's view of a node."""
    with Machine("node") as machine:
        fd = os.open(f"/proc/{machine.pid}/ns/net", os.O_RDONLY)

        def run(story: Callable[[Links, Kernel], Coroutine[Any, Any, None]]) -> None:
            async def whole() -> None:
                with Kernel() as node:

                    async def find(name: str) -> int | None:
                        return node.index(name)

                    def delete(named: Mapping[int, str]) -> None:
                        with Kernel.in_netns(fd) as own:
                            own.delete_links(named)

                    links = Links(find, delete)
                    try:
                        await asyncio.wait_for(story(links, node), 20)
                    finally:
                        links.close()

            with ThreadPoolExecutor(1, initializer=netns.may_enter) as thread:
                thread.submit(netns.run_in, fd, lambda: asyncio.run(whole())).result()

        yield run
        os.close(fd)


def veth(node: Kernel, name: str) -> None:
    node.apply([LinkAdd(name=name, kind="veth", peer=name + "p", up=True)])


def names(node: Kernel) -> set[str]:
    return {link.name for link in node.links()} - {"lo"}


def test_a_deleted_link_and_its_other_end_are_gone_when_it_is_answered(play: Story) -> None:
    async def story(links: Links, node: Kernel) -> None:
        veth(node, "v0")
        await links.delete("v0")
        assert names(node) == set()

    play(story)


def test_a_hundred_links_that_go_together_are_all_gone_each_when_it_is_answered(play: Story) -> None:
    async def story(links: Links, node: Kernel) -> None:
        async def gone(name: str) -> None:
            await links.delete(name)
            assert node.link(name) is None, name

        for number in range(100):
            veth(node, f"v{number}")
        await asyncio.gather(*(gone(f"v{number}") for number in range(100)))
        assert names(node) == set()

    play(story)


def test_a_link_that_is_not_there_counts_as_removed_beside_one_that_is(play: Story) -> None:
    async def story(links: Links, node: Kernel) -> None:
        veth(node, "v0")
        await asyncio.gather(links.delete("ghost"), links.delete("v0"), links.delete("v0"))
        assert names(node) == set()

    play(story)


def test_a_link_that_is_made_anew_at_once_is_deleted_anew(play: Story) -> None:
    """The kernel still works on the first when the second comes, and what is said of the one is not the other's."""

    async def story(links: Links, node: Kernel) -> None:
        for _ in range(20):
            veth(node, "v0")
            await links.delete("v0")
            assert names(node) == set()

    play(story)


def test_a_link_that_took_the_name_of_the_one_to_be_deleted_stays(play: Story) -> None:
    """Its pod's namespace died, and the next pod was quick."""

    async def story(_: Links, node: Kernel) -> None:
        veth(node, "v0")
        old = {link.index: link.name for link in node.links() if link.name != "lo"}
        node.apply([LinkDelete(name="v0")])
        veth(node, "v0")
        node.delete_links(old)
        node.delete_links(dict([old.popitem()]))
        assert names(node) == {"v0", "v0p"}

    play(story)


def test_what_the_kernel_says_against_a_deletion_is_raised(play: Story) -> None:
    async def story(links: Links, _: Kernel) -> None:
        with pytest.raises(KernelError, match="lo"):
            await links.delete("lo")

    play(story)
