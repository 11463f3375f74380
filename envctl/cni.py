"""A small CNI runtime: does with a node's network configuration what a container runtime does with it.

CNI SPEC, section 3 (execution of network configurations): the first file of the configuration folder, its
plugins in order, each given the result of the one before; backwards for DEL; results remembered on the node,
since CHECK and DEL hand them over. Plugins run on a :class:`envctl.node.Node`, so it makes no difference
where that is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from envctl.errors import EnvctlError
from envctl.node import Node

CONF_DIR = "/etc/cni/net.d"
CNI_PATH = ("/opt/cni/bin",)
CACHE = "/var/lib/cni/results"
"""Where results are kept, as libcni keeps them: one file per attachment."""
TIMEOUT_S = 120.0

Json = dict[str, Any]


class PluginError(EnvctlError):
    """A plugin said no: ``code``, ``msg`` and ``details`` are those of its error (CNI SPEC, section 5)."""

    def __init__(self, verb: str, plugin: str, code: int, msg: str, details: str = "") -> None:
        super().__init__(f"{plugin} {verb}: {msg} (code {code})", cause=details)
        self.verb, self.plugin, self.code, self.msg, self.details = verb, plugin, code, msg, details


class NetworkError(EnvctlError):
    """The configuration folder holds no network, or one that cannot be read."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Network:
    """A network configuration: plugins with one name and version, from a .conflist or a .conf file."""

    name: str
    cni_version: str
    plugins: tuple[Json, ...]
    disable_check: bool = False
    disable_gc: bool = False

    @classmethod
    def parse(cls, data: str, source: str = "configuration") -> Network:
        """A configuration list, or a single plugin's configuration as a list of one. Raises NetworkError."""
        try:
            conf = json.loads(data)
        except ValueError as error:
            raise NetworkError(f"{source} is not JSON: {error}") from error
        if not isinstance(conf, dict):
            raise NetworkError(f"{source} is not a JSON object")
        plugins = conf.get("plugins", [conf] if "type" in conf else [])
        whole = isinstance(plugins, list) and plugins and all(isinstance(plugin, dict) for plugin in plugins)
        if not whole or not all(isinstance(plugin.get("type"), str) for plugin in plugins):
            raise NetworkError(f"{source} names no plugin: each one needs a type")
        if not isinstance(conf.get("name"), str) or not conf["name"]:
            raise NetworkError(f"{source} has no name")
        versions = [conf.get("cniVersion") or "0.1.0", *conf.get("cniVersions", ())]
        newest = max(versions, key=version_key)
        return cls(
            conf["name"], newest, tuple(plugins), _flag(conf, "disableCheck"), _flag(conf, "disableGC")
        )

    def at_least(self, version: str) -> bool:
        return version_key(self.cni_version) >= version_key(version)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What is attached: a container's namespace, and what the runtime says about it (CNI SPEC, section 2)."""

    container_id: str
    netns: str
    if_name: str = "eth0"
    args: Mapping[str, str] = field(default_factory=dict)
    """CNI_ARGS."""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    """Capability arguments: a plugin is given those that its configuration declares, as ``runtimeConfig``."""


def version_key(version: str) -> tuple[int, ...]:
    """Orders CNI versions. Raises NetworkError for what is none."""
    try:
        return tuple(int(part) for part in str(version).split("."))
    except ValueError:
        raise NetworkError(f"cniVersion {version} is no version") from None


def _flag(conf: Json, key: str) -> bool:
    return conf.get(key) in (True, "true")


def load(node: Node, directory: str = CONF_DIR) -> Network:
    """The network of a node: the first .conf, .conflist or .json file of the folder. Raises NetworkError."""
    names = [name for name in node.names(directory) if name.endswith((".conf", ".conflist", ".json"))]
    if not names:
        raise NetworkError(
            f"{node.name}: no network configuration in {directory}", hint="install the plugin first"
        )
    path = f"{directory}/{names[0]}"
    return Network.parse(node.get(path).decode(), f"{node.name}:{path}")


def execution_conf(
    network: Network,
    plugin: Json,
    sandbox: Sandbox | None = None,
    prev_result: Json | None = None,
    valid_attachments: Sequence[Mapping[str, str]] | None = None,
) -> Json:
    """What a plugin gets on standard input, derived from its part of the configuration."""
    conf = {key: value for key, value in plugin.items() if key not in ("capabilities", "cniVersions")}
    conf |= {"cniVersion": network.cni_version, "name": network.name}
    if sandbox is not None:
        declared = plugin.get("capabilities") or {}
        granted = {name: value for name, value in sandbox.capabilities.items() if declared.get(name)}
        if granted:
            conf["runtimeConfig"] = granted
    if prev_result is not None:
        conf["prevResult"] = prev_result
    if valid_attachments is not None:
        conf["cni.dev/valid-attachments"] = list(valid_attachments)
    return conf


class Runtime:
    """Runs the verbs of CNI on one node. Thread-safe: it keeps nothing in memory."""

    def __init__(self, node: Node, *, path: Sequence[str] = CNI_PATH, cache: str = CACHE) -> None:
        self.node = node
        self.path = tuple(path)
        self.cache = cache

    def add(self, network: Network, sandbox: Sandbox) -> Json:
        """Attach; answers the final result. On failure everything is taken back (DEL), then PluginError is
        raised.
        """
        result: Json | None = None
        try:
            for plugin in network.plugins:
                conf = execution_conf(network, plugin, sandbox, result)
                result = self._json("ADD", plugin, self._execute("ADD", plugin, conf, sandbox))
        except PluginError:
            self._delete(network, sandbox, None, past_failures=True)
            raise
        assert result is not None
        self.node.put(self._cache_path(network.name, sandbox), self._cached(network, sandbox, result))
        return result

    def delete(self, network: Network, sandbox: Sandbox) -> None:
        """Detach, with the configuration that was current at ADD if that is known. Raises PluginError at the
        first no.
        """
        cached = self.cached(network.name, sandbox)
        if cached is not None:
            network = Network.parse(base64.b64decode(cached["config"]).decode())
        self._delete(network, sandbox, None if cached is None else cached["result"])
        self.node.remove(self._cache_path(network.name, sandbox))

    def check(self, network: Network, sandbox: Sandbox) -> None:
        """Whether the attachment is as ADD made it; PluginError says what is not. Versions before 0.4.0
        cannot say.
        """
        if network.disable_check or not network.at_least("0.4.0"):
            return
        cached = self.cached(network.name, sandbox)
        if cached is None:
            raise PluginError("CHECK", network.name, 3, f"no result of {sandbox.container_id} is remembered")
        for plugin in network.plugins:
            self._execute(
                "CHECK", plugin, execution_conf(network, plugin, sandbox, cached["result"]), sandbox
            )

    def gc(self, network: Network, valid: Iterable[Sandbox]) -> None:
        """Free what no sandbox of ``valid`` has: DEL for attachments remembered here, GC for what plugins
        know.
        """
        keep = [{"containerID": sandbox.container_id, "ifname": sandbox.if_name} for sandbox in valid]
        if network.disable_gc:
            return
        for stale in self.attachments(network.name):
            if {"containerID": stale.container_id, "ifname": stale.if_name} not in keep:
                self.delete(network, stale)
        if network.at_least("1.1.0"):
            for plugin in network.plugins:
                conf = execution_conf(network, plugin, valid_attachments=keep)
                self._execute("GC", plugin, conf, None)

    def status(self, network: Network) -> None:
        """Whether ADD would be served; PluginError (code 50 or 51) otherwise. Versions before 1.1.0 cannot
        say.
        """
        if network.at_least("1.1.0"):
            for plugin in network.plugins:
                self._execute("STATUS", plugin, execution_conf(network, plugin), None)

    def version(self, plugin: str) -> tuple[str, ...]:
        """The CNI versions that a plugin speaks."""
        conf = {"type": plugin, "cniVersion": "1.0.0"}
        answer = self._json("VERSION", conf, self._execute("VERSION", conf, {"cniVersion": "1.0.0"}, None))
        return tuple(answer.get("supportedVersions", ()))

    def cached(self, name: str, sandbox: Sandbox) -> Json | None:
        """What was remembered at ADD (``result``, ``config`` …), None when nothing was."""
        return self._cached_file(self._cache_path(name, sandbox))

    def _cached_file(self, path: str) -> Json | None:
        try:
            cached = json.loads(self.node.get(path))
        except (FileNotFoundError, ValueError):
            return None
        return cached if isinstance(cached, dict) and {"config", "result"} <= cached.keys() else None

    def attachments(self, name: str) -> tuple[Sandbox, ...]:
        """Every attachment to a network that is remembered on the node."""
        found = []
        for file in self.node.names(self.cache):
            cached = self._cached_file(f"{self.cache}/{file}") if file.startswith(f"{name}-") else None
            if cached is not None and cached["networkName"] == name:
                args = dict(cached.get("cniArgs", ()))
                netns, capabilities = cached.get("netns", ""), cached.get("capabilityArgs", {})
                found.append(Sandbox(cached["containerId"], netns, cached["ifName"], args, capabilities))
        return tuple(found)

    def _delete(
        self, network: Network, sandbox: Sandbox, result: Json | None, *, past_failures: bool = False
    ) -> None:
        handed = result if network.at_least("0.4.0") else None
        for plugin in reversed(network.plugins):
            try:
                self._execute("DEL", plugin, execution_conf(network, plugin, sandbox, handed), sandbox)
            except PluginError:
                if not past_failures:
                    raise

    def _cache_path(self, name: str, sandbox: Sandbox) -> str:
        return f"{self.cache}/{name}-{sandbox.container_id}-{sandbox.if_name}"

    def _cached(self, network: Network, sandbox: Sandbox, result: Json) -> bytes:
        config = {"cniVersion": network.cni_version, "name": network.name, "plugins": list(network.plugins)}
        record = {
            "kind": "cniCacheV1", "containerId": sandbox.container_id, "networkName": network.name,
            "config": base64.b64encode(json.dumps(config).encode()).decode(), "ifName": sandbox.if_name,
            "netns": sandbox.netns, "cniArgs": list(sandbox.args.items()),
            "capabilityArgs": dict(sandbox.capabilities), "result": result,
        }  # fmt: skip
        return json.dumps(record).encode()

    def _execute(self, verb: str, plugin: Json, conf: Json, sandbox: Sandbox | None) -> str:
        """Start a plugin; its standard output. Raises PluginError (999: what it said is not CNI)."""
        name = str(plugin["type"])
        env = {"CNI_COMMAND": verb, "CNI_PATH": ":".join(self.path)}
        if sandbox is not None:
            args = ";".join(f"{key}={value}" for key, value in sandbox.args.items())
            env |= {"CNI_CONTAINERID": sandbox.container_id, "CNI_NETNS": sandbox.netns}
            env |= {"CNI_IFNAME": sandbox.if_name, "CNI_ARGS": args}
        done = self.node.run(
            "exec %s", self._find(verb, name), check=False, input=json.dumps(conf), timeout=TIMEOUT_S, env=env
        )
        if done.exit_status == 0:
            return done.stdout
        try:
            error = json.loads(done.stdout)
            code, msg = int(error["code"]), str(error["msg"])
        except (ValueError, KeyError, TypeError):
            output = (done.stdout + done.stderr).strip()
            raise PluginError(
                verb, name, 999, f"exit status {done.exit_status} and no CNI error", output
            ) from None
        raise PluginError(verb, name, code, msg, str(error.get("details", "")))

    def _find(self, verb: str, name: str) -> str:
        for directory in self.path:
            if "/" not in name and name in self.node.names(directory):
                return f"{directory}/{name}"
        raise PluginError(
            verb, name, 999, f"there is no plugin {name} in {':'.join(self.path)} of {self.node.name}"
        )

    def _json(self, verb: str, plugin: Json, output: str) -> Json:
        try:
            answer = json.loads(output)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise PluginError(verb, str(plugin["type"]), 6, "its answer is no JSON object", output)
        return answer
