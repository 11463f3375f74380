"""The Prometheus endpoint: opt-in, loopback, and every series of the reference and of the dashboard exists."""

from __future__ import annotations

import json
import re

from prometheus_client.parser import text_string_to_metric_families

from tests.lab.agent.rig import ROOT, Rig

READ = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9473/metrics').read().decode())"


def series(node: Rig) -> dict[str, dict[str, float]]:
    """Samples by name, then by labels."""
    text = node.lan.node.run(f'python3 -c "{READ}"').stdout
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(sample.labels[name] for name in sorted(sample.labels))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_metrics_tell_what_happened(quiet: Rig) -> None:
    quiet.start("--metrics", "127.0.0.1:9473")
    for name in ("a", "b"):
        quiet.add(name)
    assert quiet.cni("DEL", "a").status == 0
    found = series(quiet)
    assert found["brdhcp_leases"]["bound"] == 1
    assert found["brdhcp_dhcp_exchanges_total"]["acquired"] == 2
    assert found["brdhcp_dhcp_exchanges_total"]["released"] == 1
    assert found["brdhcp_request_seconds_count"] == {"0,ADD": 2, "0,DEL": 1}
    assert 0 < found["brdhcp_lease_earliest_expiry_seconds"][""] <= 120
    shown = (ROOT / "provision/grafana/brdhcp.json").read_text() + (
        ROOT / "docs/reference/metrics.md"
    ).read_text()
    named = {
        name.removesuffix("_bucket").removesuffix("_count") for name in re.findall(r"brdhcp_[a-z_]+", shown)
    }
    known = {name.removesuffix("_bucket").removesuffix("_count") for name in found}
    assert named <= known
    json.loads((ROOT / "provision/grafana/brdhcp.json").read_text())


def test_every_label_that_the_dashboard_asks_for_and_the_reference_explains_is_there(quiet: Rig) -> None:
    quiet.start("--metrics", "127.0.0.1:9473")
    quiet.add("a")
    assert quiet.cni("DEL", "a").status == 0
    text = quiet.lan.node.run(f'python3 -c "{READ}"').stdout
    there = {
        (sample.name, label, value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for label, value in sample.labels.items()
    }
    reference = (ROOT / "docs/reference/metrics.md").read_text()
    panels = json.loads((ROOT / "provision/grafana/brdhcp.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(expressions) >= len(panels)
    for name, matchers in re.findall(r"(brdhcp_\w+)\{(.*?)\}", "\n".join([*expressions, reference])):
        for label, value in re.findall(r'(\w+)="(.*?)"', matchers):
            assert (name, label, value) in there
    for name, label, meaning in re.findall(
        r"^\| `(\w+)` \| \w+ \| `(\w+)` \| (.*)$", reference, re.MULTILINE
    ):
        assert set(re.findall(r"`(\w+)`", meaning)) == {
            value for other, key, value in there if (other, key) == (name, label)
        }


def test_a_port_alone_is_one_of_loopback(quiet: Rig) -> None:
    quiet.start("--metrics", ":9473")
    (listening,) = quiet.lan.node.run("ss -Hltn").stdout.splitlines()
    assert listening.split()[3] == "127.0.0.1:9473"


def test_without_the_option_nobody_listens_on_tcp(quiet: Rig) -> None:
    quiet.start()
    assert quiet.lan.node.run("ss -Hltn").stdout == ""
