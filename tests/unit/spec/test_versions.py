"""Which versions are spoken, and which verbs they have."""

from __future__ import annotations

import pytest
from brdhcp.errors import IncompatibleVersion
from brdhcp.spec.versions import SUPPORTED, require_supported, require_verb, version_info


def test_a_configuration_without_version_is_the_oldest() -> None:
    assert require_supported("") == "0.1.0"


@pytest.mark.parametrize("version", ["1.2.0", "0.3", "latest", "1.0.0 "])
def test_a_version_that_is_not_spoken_is_refused_with_those_that_are(version: str) -> None:
    with pytest.raises(IncompatibleVersion) as error:
        require_supported(version)
    assert error.value.code == 1
    assert "0.1.0, 0.2.0" in error.value.details


@pytest.mark.parametrize(("command", "since"), [("CHECK", "0.4.0"), ("STATUS", "1.1.0"), ("GC", "1.1.0")])
def test_a_verb_is_refused_in_versions_before_its_own(command: str, since: str) -> None:
    for version in SUPPORTED:
        if SUPPORTED.index(version) >= SUPPORTED.index(since):
            require_verb(command, version)
        else:
            with pytest.raises(
                IncompatibleVersion, match=f"{command} does not exist in cniVersion {version}"
            ):
                require_verb(command, version)


def test_add_and_del_exist_in_every_version() -> None:
    for version in SUPPORTED:
        require_verb("ADD", version)
        require_verb("DEL", version)


def test_version_lists_what_is_spoken() -> None:
    assert version_info("0.4.0") == {"cniVersion": "0.4.0", "supportedVersions": list(SUPPORTED)}
