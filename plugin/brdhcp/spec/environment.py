"""The environment variables of a CNI call, checked all at once (CNI SPEC, "Parameters")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from brdhcp.errors import InvalidEnvironment

COMMANDS = ("ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION")

_REQUIRED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "STATUS": (),
    "GC": (),
    "VERSION": (),
}

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*", re.ASCII)

KNOWN_ARGS = frozenset(
    {"IgnoreUnknown", "MAC", "K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID"}
)  # fmt: skip
"""Keys of CNI_ARGS that mean something to us or to every Kubernetes runtime."""

Role = Literal["main", "ipam"]


def identifier_fault(value: str) -> str | None:
    """Why ``value`` cannot be a container ID or a network name, or None (CNI SPEC, "Parameters")."""
    if _IDENTIFIER.fullmatch(value):
        return None
    return "must start with a letter or digit, followed by letters, digits, '_', '.' or '-'"


def _is_garbled(text: str) -> bool:
    """Bytes that are no UTF-8 arrive as lone surrogates (PEP 383)."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def if_name_fault(value: str) -> str | None:
    """Why ``value`` cannot name a network interface, or None (CNI SPEC, "Parameters"; the kernel's
    dev_valid_name).
    """
    if not value:
        return "must not be empty"
    if value in (".", ".."):
        return "must not be '.' or '..'"
    if len(value.encode()) > 15:
        return f"is {len(value.encode())} bytes long, an interface name has at most 15"
    if any(c in "/:" or c.isspace() or ord(c) < 32 for c in value):
        return "must not contain '/', ':' or whitespace"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of the plugin. ``env`` holds the CNI_* variables as they came, for a delegated plugin."""

    command: str
    container_id: str = ""
    netns: str = ""
    if_name: str = ""
    args: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    path: tuple[str, ...] = ()
    role: Role = "main"
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Request:
        """Read CNI_* (and BRDHCP_ROLE, set by the shim). Raises InvalidEnvironment with every fault in one
        message.
        """
        garbled = [name for name, value in env.items() if _is_garbled(name + value)]
        if garbled:
            raise InvalidEnvironment("; ".join(f"{ascii(name)[1:-1]} is not UTF-8" for name in garbled))
        command = env.get("CNI_COMMAND", "")
        faults: list[str] = []
        if command not in COMMANDS:
            faults.append(
                f'CNI_COMMAND is "{command}", not one of {", ".join(COMMANDS)}'
                if command
                else "CNI_COMMAND is missing"
            )
        missing = [name for name in _REQUIRED.get(command, ()) if not env.get(name)]
        faults += [f"{name} is missing" for name in missing]
        faults += _value_faults(env)
        args, arg_faults = _parse_args(env.get("CNI_ARGS", ""))
        faults += arg_faults
        if faults:
            raise InvalidEnvironment("; ".join(faults), f"of the environment of CNI {command or 'call'}")
        return cls(
            command=command,
            container_id=env.get("CNI_CONTAINERID", ""),
            netns=env.get("CNI_NETNS", ""),
            if_name=env.get("CNI_IFNAME", ""),
            args=MappingProxyType(args),
            path=tuple(part for part in env.get("CNI_PATH", "").split(":") if part),
            role="ipam" if env.get("BRDHCP_ROLE") == "ipam" else "main",
            env=MappingProxyType({key: value for key, value in env.items() if key.startswith("CNI_")}),
        )

    @property
    def ignore_unknown(self) -> bool:
        """IgnoreUnknown of CNI_ARGS: keys that nobody here knows are not a fault."""
        return self.args.get("IgnoreUnknown", "").lower() in ("1", "true", "t")

    @property
    def pod(self) -> str:
        """``namespace/name`` of the pod as Kubernetes runtimes tell it, or ``""``."""
        name = self.args.get("K8S_POD_NAME", "")
        return f"{self.args.get('K8S_POD_NAMESPACE', 'default')}/{name}" if name else ""

    def require_known_args(self, known: frozenset[str] = frozenset()) -> None:
        """Raise InvalidEnvironment for keys of CNI_ARGS outside ``known`` and KNOWN_ARGS, unless
        IgnoreUnknown is set.
        """
        unknown = sorted(set(self.args) - KNOWN_ARGS - known)
        if unknown and not self.ignore_unknown:
            raise InvalidEnvironment(
                f"CNI_ARGS has unknown keys: {', '.join(unknown)}",
                "add IgnoreUnknown=1 to CNI_ARGS to allow them",
            )

    def require_path(self, executable: str) -> tuple[str, ...]:
        """The directories to look for a delegated plugin in; raises InvalidEnvironment if none."""
        if not self.path:
            raise InvalidEnvironment("CNI_PATH is missing", f'it is needed to find the plugin "{executable}"')
        return self.path


def _value_faults(env: Mapping[str, str]) -> list[str]:
    faults = []
    container_id, if_name = env.get("CNI_CONTAINERID", ""), env.get("CNI_IFNAME", "")
    if container_id and (why := identifier_fault(container_id)):
        faults.append(f'CNI_CONTAINERID "{container_id}" {why}')
    if if_name and (why := if_name_fault(if_name)):
        faults.append(f'CNI_IFNAME "{if_name}" {why}')
    return faults


def _parse_args(text: str) -> tuple[dict[str, str], list[str]]:
    """``FOO=BAR;ABC=123`` as a dict, and what is wrong with it."""
    args: dict[str, str] = {}
    faults = []
    for pair in filter(None, text.split(";")):
        key, equals, value = pair.partition("=")
        if not equals or not key:
            faults.append(f'CNI_ARGS has "{pair}", which is not KEY=VALUE')
        elif key in args and args[key] != value:
            faults.append(f"CNI_ARGS has {key} twice, with different values")
        else:
            args[key] = value
    return args, faults
