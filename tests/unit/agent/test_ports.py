"""What is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from brdhcp.agent import ports
from brdhcp.errors import UnsupportedField
from brdhcp.spec.netconf import Bridge, NetConf


def configured(bridge: Bridge) -> NetConf:
    return NetConf(cni_version="1.0.0", name="mycninet", bridge=bridge)


def test_a_node_without_nft_refuses_guards_by_the_names_of_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedField, match="spoofGuard and ipMasq cannot be honoured") as refused:
        ports.require_nft(configured(Bridge(spoof_guard=True, ip_masq=True)))
    assert refused.value.details == "install nftables, or leave spoofGuard and ipMasq out"
    ports.require_nft(configured(Bridge()))
