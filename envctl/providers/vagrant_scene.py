"""A symptom's scene on a virtual machine that is there: its own NIC, its own address, its own apiserver.

The uplink migration is rolled back meanwhile, and done again at the end; the cluster's pods have no LAN until then.
The symptoms are made on a bridge of their own, with pods made by hand in namespaces of the guest, so that the
cluster's network is left alone. A symptom takes the node's IPv4 address off the LAN, and ssh with it: the bridge
then has an IPv6 address, and the guest undoes everything by itself when it has not been told to within ``ALARM_S``.

The workstation of a scene is a machine of its own on the network's bridge. The machine that the hypervisor runs on is
the LAN's router too, and would never ask the LAN who the router is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from envctl import cni, uplink
from envctl.config import Config, interface_address
from envctl.errors import EnvctlError
from envctl.node import NamespaceNode, NodeError, SshNode
from envctl.providers.base import Pod, ProviderError, ServerLease
from envctl.providers.scene import Patience, Scene
from envctl.providers.vagrant_ground import Ground
from envctl.wait import until

if TYPE_CHECKING:
    from envctl.providers.vagrant import Virtual

SCRIPT = Path(__file__).with_suffix(".sh")
FOLDER = "/run/envctl-scene"
BRIDGE, RESCUE, CABLE = "notebr0", "fe80::5ce:e", "envctl-scene"
ALARM_S = 900
WITHIN_S = 300.0
UNIT = "envctl-scene"
PLUGINS = {"debian12": "/usr/lib/cni", "centos7": "/opt/cni/bin"}
"""Where the reference plugins are on each guest."""


class MachineScene(Scene):
    """The machine's master. ``node`` is reached by IPv4, or by the bridge's IPv6 address while the NIC is in it."""

    patience = Patience(ping_s=3.0, wait_s=120.0, daemon="-timeout 5s -resendmax 1s")
    conf_dir = f"{FOLDER}/net.d"

    def __init__(self, provider: Virtual, host: NamespaceNode) -> None:
        plugin = provider.config.plugin
        network = plugin.model_copy(update={"network": f"{plugin.network}-scene"})
        self._provider, self._host = provider, host
        self._rescue: SshNode | None = None
        self._entered = False
        self.plugins = PLUGINS[provider.config.guest]
        self.config = provider.config.model_copy(update={"bridge": BRIDGE, "plugin": network})

    @property
    def node(self) -> SshNode:
        return self._rescue or self._provider.master()

    @property
    def host(self) -> NamespaceNode:
        return self._host

    def enter(self) -> None:
        """The node is not migrated, and what an interrupted play left of itself is gone."""
        node, own = self._provider.master(), self._provider.config
        scopes = f"all default {own.uplink.interface}"
        save = f"for scope in {scopes}; do echo $scope $(cat /proc/sys/net/ipv4/conf/$scope/rp_filter); done"
        node.run(f"mkdir -p {FOLDER}; test -s {FOLDER}/rp_filter || {{ {save}; }} >{FOLDER}/rp_filter")
        node.put(f"{FOLDER}/scene.sh", SCRIPT.read_bytes(), 0o755)
        self._entered = True
        if uplink.is_port(node, own):
            node.run("touch %s", f"{FOLDER}/migrated")
            uplink.rollback(node)
        self._do("undo")

    def leave(self) -> None:
        """The node is as it was, migrated if it was that.

        By new connections: Ctrl-C in a terminal is for every process of ours, those that ssh goes through too.
        """
        if not self._entered:
            return
        for known in (self._rescue, self._provider.master()):
            if known:
                known.close()
        self.afresh()
        node = self._provider.master()
        if not node.run("test -e %s", f"{FOLDER}/migrated", check=False).exit_status:
            uplink.migrate(node, self._provider.host(), self._provider.config, remember=False)
        node.run("rm -rf %s", FOLDER)

    def install(self) -> None:
        """Both came with the machine."""

    def start_agent(self) -> None:
        self._provider.start_agent(self.node)

    def enslave(self) -> None:
        self._alarm()
        self._do("enslave")

    def afresh(self) -> None:
        if self._rescue and not self._answers(self._rescue):  # the guest has undone it by itself
            self._rescue = None
        runtime = self._runtime()
        with contextlib.suppress(EnvctlError):
            network = cni.load(self.node, self.conf_dir)
            for sandbox in runtime.attachments(network.name):
                runtime.delete(network, sandbox)
        self._do("undo")
        self._provider.master().run("systemctl stop %s.timer", f"{UNIT}-alarm", check=False)

    def _command(self, verb: str) -> str:
        words = ["sh", f"{FOLDER}/scene.sh", verb, self.config.uplink.interface, BRIDGE, RESCUE, FOLDER]
        return shlex.join(words)

    def _alarm(self) -> None:
        run = "systemd-run --quiet --unit=%s --on-active=%s " + self._command("undo")
        self.node.run("systemctl stop %s.timer 2>/dev/null; " + run, *(f"{UNIT}-alarm",) * 2, ALARM_S)

    def _do(self, verb: str) -> None:
        """Have the guest do it, without any connection, and wait until it can be reached and has done it."""
        unit = f"{UNIT}-{verb}"
        run = "systemd-run --quiet --unit=%s " + self._command(verb)
        ask = "rm -f %s; systemctl reset-failed %s 2>/dev/null; " + run
        node, self._rescue = self.node, self._by_ipv6() if verb == "enslave" else None
        try:
            node.run(ask, f"{FOLDER}/done", unit, unit)
        except NodeError as error:
            if error.exit_status >= 0:
                raise
            # What was asked for has overtaken its answer. If nothing was, it is not reached again, or by its alarm.
        finally:
            node.close()
        late = f"the guest was not reached again after {verb}"
        hint = f"It undoes what was done within {ALARM_S} s; then: envctl up"
        until(
            lambda: self._is_done(unit),
            within=WITHIN_S, otherwise=lambda: ProviderError(late, hint=hint), pause=0.2,
        )  # fmt: skip

    def _is_done(self, unit: str) -> bool:
        look = "test -e %s && ! systemctl is-active --quiet %s"
        try:
            return not self.node.run(look, f"{FOLDER}/done", unit, check=False).exit_status
        except EnvctlError:
            self.node.close()
            return False

    def _answers(self, node: SshNode) -> bool:
        try:
            return not node.run("true").exit_status
        except EnvctlError:
            node.close()
            return False

    def _by_ipv6(self) -> SshNode:
        known, proxy = self._provider.master(), f"nsenter --target {self._host.pid} --net -- nc %h %p"
        return SshNode(
            known.name, known.address, host=f"{RESCUE}%eth0", user=known.user, identity=known.identity,
            connect_timeout=30, proxy=proxy, known_hosts=known.known_hosts,
        )  # fmt: skip

    def _runtime(self) -> cni.Runtime:
        return cni.Runtime(self.node, path=(*cni.CNI_PATH, self.plugins), cache=f"{FOLDER}/results")

    def pod_add(self, name: str) -> Pod:
        netns, node = f"/run/netns/scene-{name}", self.node
        network = cni.load(node, self.conf_dir)
        args = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": name}
        sandbox = cni.Sandbox(secrets.token_hex(32), netns, args=args)
        node.run("ip netns add scene-%s && ip -n scene-%s link set lo up", name, name)
        try:
            result = self._runtime().add(network, sandbox)
        except BaseException:
            node.run("ip netns delete scene-%s", name, check=False)
            raise
        return Pod(name, node.name, sandbox.container_id, netns, True, result)

    def leases(self) -> tuple[ServerLease, ...]:
        return self._provider.server_leases()

    def question(self) -> str:
        return shlex.join(self._provider.kubectl_argv("get", "--raw", "/healthz", "--request-timeout=30s"))


@contextlib.contextmanager
def machine_scene(provider: Virtual, ground: Ground) -> Iterator[Scene]:
    """The scene; whatever happens in it, the machine is as it was afterwards."""
    if os.geteuid():
        raise ProviderError(
            "only root can play symptoms on a virtual machine",
            cause="The workstation of the play is a network namespace of its own.",
            hint="run it with sudo",
        )
    if not provider.nodes():
        raise ProviderError(f"environment {provider.config.name} is not up", hint="envctl up makes it.")
    with _workstation(ground, provider.config, provider.host_interface) as host:
        scene = MachineScene(provider, host)
        try:
            scene.enter()
            yield scene
        finally:
            scene.leave()


@contextlib.contextmanager
def _workstation(ground: Ground, config: Config, bridge: str) -> Iterator[NamespaceNode]:
    """A machine on the LAN, plugged into the network's bridge: a process with a network namespace of its own."""
    seen = f"envctl-lan {config.name}"
    _unplug(ground, seen)
    argv = ground.argv(["unshare", "--net", "bash", "-c", 'exec -a "$0" sleep infinity', seen])
    holder = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        found = until(
            lambda: _processes(seen),
            within=30, unless=lambda: holder.poll() is not None,
            otherwise=lambda: ProviderError("the workstation of the play did not start"),
        )  # fmt: skip
        pid, address = found[0], _free(config)
        host = NamespaceNode("host", str(address), pid)
        ground.run("ip", "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", _inner(pid))
        ground.run("ip", "link", "set", CABLE, "master", bridge, "up")
        up = "ip link set lo up && ip link set eth0 up && ip addr add %s dev eth0"
        host.run(up, interface_address(config, address))
        host.run("ip route add default via %s", config.network.gateway)
        yield host
    finally:
        _unplug(ground, seen)
        holder.wait(30)


def _unplug(ground: Ground, seen: str) -> None:
    """No such machine, and no cable to it: of itself that would go a while after the last process."""
    ground.run("ip", "link", "delete", CABLE, check=False)
    for left in _processes(seen):
        os.kill(left, signal.SIGKILL)


def _processes(seen: str) -> list[int]:
    """Processes by the name that they show."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if entry.read_bytes().split(b"\0", 1)[0] == seen.encode():
                found.append(int(entry.parent.name))
    return found


def _inner(pid: int) -> str:
    """A process's number in the innermost of its PID namespaces."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:"))


def _free(config: Config) -> IPv4Address:
    """An address of the LAN that nobody has, and that nobody is given."""
    network, dhcp = config.network, config.network.dhcp
    taken = {network.host, network.gateway, dhcp.server, *config.node_addresses().values()}
    for address in network.cidr.hosts():
        if address not in taken and not dhcp.first <= address <= dhcp.last:
            return address
    raise ProviderError(f"there is no free address in {network.cidr}")
