"""The documentation of the configuration names every key and every code, and its examples are taken as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from brdhcp import errors
from brdhcp.spec import netconf
from brdhcp.spec.environment import Request
from brdhcp.spec.fields import Faults
from brdhcp.spec.ipam import DHCP_KEYS, OPTION_NAMES
from brdhcp.spec.netconf import NetConf

ROOT = Path(__file__).parents[3]
NETCONF = (ROOT / "docs/reference/netconf.md").read_text()
ERRORS = (ROOT / "docs/reference/errors.md").read_text()
CONF = ROOT / "plugin/conf"
NOT_OURS = {"disableCheck", "disableGC", "loadOnlyInlinedPlugins", "ipam"}

ADD = Request.from_environment(
    {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/pod", "CNI_IFNAME": "eth0"}
)


def test_every_key_that_is_read_is_documented() -> None:
    reader = netconf._Reader({"name": "n"}, ADD, "1.0.0", Faults())
    reader.read()
    keys = {key for key in reader.top.asked if "/" not in key} | set(DHCP_KEYS)
    ipam = {f"ipam.{key}" for key in ("type", "request", "provide", "priority", "daemonSocketPath")}
    documented = set(re.findall(r"^\| `([^`]+)` \|", NETCONF, re.MULTILINE))
    assert (keys | ipam) - NOT_OURS <= documented
    assert all(f"`{name}`" in NETCONF for name in OPTION_NAMES)


def test_every_code_is_documented() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.CniError)]
    documented = set(map(int, re.findall(r"^\| (\d+) \|", ERRORS, re.MULTILINE)))
    assert {c.code for c in classes} == documented


def test_the_configuration_of_the_note_is_taken_as_it_is() -> None:
    conf = NetConf.parse((CONF / "10-mycninet.conf").read_bytes(), ADD)
    assert (conf.cni_version, conf.name, conf.bridge.name) == ("0.3.1", "mycninet", "mybr0")
    assert conf.dhcp is not None


def test_our_part_of_the_list_is_taken_as_a_runtime_hands_it_over() -> None:
    whole: dict[str, Any] = json.loads((CONF / "10-mycninet.conflist").read_text())
    ours, portmap = whole["plugins"]
    assert portmap["type"] == "portmap"
    handed = ours | {"cniVersion": whole["cniVersion"], "name": whole["name"]}
    conf = NetConf.parse(json.dumps(handed).encode(), ADD)
    assert list(map(str, conf.service_cidr)) == ["10.96.0.0/12"]


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", NETCONF, re.DOTALL))
def test_examples_of_the_documentation_are_taken(example: str) -> None:
    assert NetConf.parse(example.encode(), ADD).name == "mycninet"
