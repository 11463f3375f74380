"""The CNI versions spoken here, and which verbs exist in which (CNI SPEC, "Version" and "CNI operations")."""

from __future__ import annotations

from brdhcp.errors import IncompatibleVersion

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
LATEST = SUPPORTED[-1]

UNSTATED = "0.1.0"
"""What a configuration without ``cniVersion`` means: the key came with 0.2.0."""

_SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


def number(version: str) -> tuple[int, int, int]:
    """A supported version as something that compares: ``"0.3.1"`` is ``(0, 3, 1)``."""
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)


def at_least(version: str, minimum: str) -> bool:
    return number(version) >= number(minimum)


def require_supported(version: str) -> str:
    """Return the version to answer in; raises IncompatibleVersion, naming what is spoken here."""
    version = version or UNSTATED
    if version not in SUPPORTED:
        raise IncompatibleVersion(
            f'cniVersion "{version}" is not supported', f"supported are {', '.join(SUPPORTED)}"
        )
    return version


def require_verb(command: str, version: str) -> None:
    """Raise IncompatibleVersion when ``command`` did not exist in that version of the specification."""
    since = _SINCE.get(command)
    if since is not None and not at_least(version, since):
        raise IncompatibleVersion(
            f"{command} does not exist in cniVersion {version}",
            f"{command} came with {since}: set cniVersion to {since} or later to use it",
        )


def version_info(version: str = LATEST) -> dict[str, object]:
    """The answer to VERSION (CNI SPEC, section "VERSION")."""
    return {"cniVersion": version or LATEST, "supportedVersions": list(SUPPORTED)}
