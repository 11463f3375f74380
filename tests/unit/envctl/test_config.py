"""The configuration: defaults that hold, and bad files that are told everything at once."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from envctl.config import Config, contradictions, json_schema
from envctl.configfile import ConfigError, commented, dump, load, parse
from envctl.errors import UsageError


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "test.yaml")
    assert caught.value.exit_code == 2
    return [str(fault) for fault in caught.value.faults]


def test_no_file_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load() == Config()
    assert not list(contradictions(Config()))


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().name = "other"


def test_what_init_writes_is_valid_and_says_the_defaults() -> None:
    assert parse(commented(), "test.yaml") == Config()


def test_what_view_prints_is_valid_and_complete() -> None:
    config = parse("version: 1\nname: other\nplugin: {serviceCIDR: 10.96.0.0/12}\n", "test.yaml")
    assert parse(dump(config), "test.yaml") == config


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("version: 1\nname: piped\n"))
    assert load("-").name == "piped"


def test_the_name_option_replaces_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "envctl.yaml"
    file.write_text("version: 1\nname: one\n")
    assert load(str(file), name="two").name == "two"


def test_a_bad_name_option_is_blamed_on_the_command_line() -> None:
    with pytest.raises(ConfigError, match="the command line has one fault"):
        load(name="Bad Name")


def test_a_named_file_must_exist() -> None:
    with pytest.raises(UsageError, match=r"there is no file nowhere\.yaml"):
        load("nowhere.yaml")


def test_every_fault_is_named_at_once_with_its_line() -> None:
    found = faults(
        "version: 1\n"
        "nmae: lab\n"
        "provider: vagrnat\n"
        "network:\n"
        "  gatway: 172.16.91.2\n"
        "  dhcp: {lease_s: 60}\n"
        "nodes: {workers: many}\n"
        "bridge: eth0\n"
        "pods: 3\n"
    )
    assert found == [
        "line 2: nmae is not a key; did you mean name?",
        "line 3: provider must be lab or vagrant, not 'vagrnat'; did you mean vagrant?",
        "line 5: network.gatway is not a key; did you mean gateway?",
        "line 6: network.dhcp.lease_s must be at least 120, not 60",
        "line 7: nodes.workers must be a whole number, not 'many'",
        "line 8: bridge is eth0, the name of the NIC (uplink.interface)",
        "line 9: pods must hold keys of its own (count), not 3",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name: lab\n", "version is missing; the file begins with version: 1"),
        ("version: 2\n", "line 1: version must be 1, not 2"),
        ("version: 1\nname: a b\n", "line 2: name must be 1 to 20 of a-z, 0-9 and -"),
        ("version: 1\nversion: 1\n", "line 2: found duplicate key"),
        ("version: [1\n", "line 2: "),
        ("- version\n", "line 1: the file must be a mapping of keys to values"),
        ("version: 1\nbridge: a-bridge-name-too-long\n", "line 2: bridge must be an interface name"),
        ("version: 1\nnetwork: {gateway: 10.0.0.1}\n", "gateway is 10.0.0.1, which is not in network.cidr"),
        (
            "version: 1\nnetwork: {gateway: 172.16.91.10}\n",
            "master is 172.16.91.10, which is network.gateway already",
        ),
        (
            "version: 1\nnetwork: {dhcp: {server: 172.16.91.200}}\n",
            "server is 172.16.91.200, which the DHCP server",
        ),
        ("version: 1\nnetwork: {dhcp: {last: 172.16.91.99}}\n", "last is below network.dhcp.first"),
        ("version: 1\nnetwork: {cidr: 172.16.91.1/24}\n", "without host bits"),
        (
            "version: 1\nnodes: {master: 172.16.91.120, workers: 9}\n",
            "puts worker8 at 172.16.91.128, which the DHCP",
        ),
        (
            "version: 1\nnodes: {master: 172.16.91.250, workers: 9}\n",
            "the last one's address 172.16.92.3 leaves",
        ),
        ("version: 1\nplugin: {extra: {type: bridge}}\n", "plugin.extra.type is written by envctl"),
        ("version: 1\nplugin: {servicecidr: 10.96.0.0/12}\n", "did you mean serviceCIDR?"),
        ("version: 1\nplugin: {cniVersion: 1.0.7}\n", "did you mean 1.0.0?"),
    ],
)
def test_a_fault_is_said_in_words_that_help(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(text)), faults(text)


def test_an_empty_file_lacks_only_its_version() -> None:
    assert faults("") == ["version is missing; the file begins with version: 1"]


def test_a_bad_configuration_is_data_too() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("version: 1\nnmae: x\n", "test.yaml")
    data = json.loads(json.dumps(caught.value.as_json()))
    assert data["faults"] == [{"line": 2, "key": "nmae", "fault": "is not a key; did you mean name?"}]


def test_the_network_configuration_is_the_documented_one() -> None:
    assert Config().netconf() == {
        "cniVersion": "0.3.1",
        "name": "mycninet",
        "type": "brdhcp",
        "bridge": "mybr0",
        "ipam": {"type": "dhcp"},
    }


def test_plugin_options_reach_the_network_configuration() -> None:
    config = parse("version: 1\nplugin: {serviceCIDR: 10.96.0.0/12, extra: {mtu: 1400}}\n", "test.yaml")
    assert config.netconf()["serviceCIDR"] == "10.96.0.0/12"
    assert config.netconf()["hairpinMode"] is True
    assert config.netconf()["mtu"] == 1400


def test_workers_follow_the_master() -> None:
    config = parse("version: 1\nnodes: {workers: 2}\n", "test.yaml")
    assert [str(address) for address in config.node_addresses().values()] == [
        "172.16.91.10",
        "172.16.91.11",
        "172.16.91.12",
    ]


def test_the_schema_describes_every_key() -> None:
    schema = json_schema()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == set(Config.model_fields)
    for model in (schema, *schema["$defs"].values()):
        assert model["additionalProperties"] is False
