"""Real machines: Vagrant boots one, kubeadm makes a cluster of it, the kubelet calls the plugin.

The Vagrantfile and the scripts of ``provision/`` say what is made; this provider says when, and answers what is
there. What it knows it discovers: the hypervisor's processes, the domain's state, the cluster's own records.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from envctl.box.cache import default_root
from envctl.config import Config
from envctl.configfile import dump
from envctl.inside import NetnsNode
from envctl.node import Completed, NamespaceNode, Node, NodeError, SshNode
from envctl.providers import vagrant_check, vagrant_ground, vagrant_logs, vagrant_settings
from envctl.providers.base import (
    Action,
    Apiserver,
    Finding,
    Pod,
    Provider,
    ProviderError,
    ServerLease,
)
from envctl.providers.lab_network import INTERNET, INTERNET_NAME
from envctl.providers.scene import Scene
from envctl.providers.vagrant_cluster import Cluster
from envctl.providers.vagrant_driver import Driver
from envctl.providers.vagrant_ground import Ground
from envctl.provision.steps import GuestStep, build_wheels, lock, settle
from envctl.wait import until

BOOTS_WITHIN_S = 600.0
SHORT = {"repositories": "yum"}
"""Steps of the guest by a word that fits into a column."""


class LocalNode(NamespaceNode):
    """This machine itself, where the system's own hypervisor is used."""

    def __init__(self, address: str) -> None:
        super().__init__("host", address, os.getpid())
        self.root = Path("/")

    def enter(self, *argv: str) -> list[str]:
        return list(argv)


class Virtual(Provider):
    """One virtual machine; see :class:`envctl.providers.base.Provider` for what each verb promises."""

    slow = True

    def __init__(self, config: Config) -> None:
        super().__init__(vagrant_settings.adapted(config))
        self._asked = config
        self.state = vagrant_ground.state_root() / config.name
        self.domain = f"{config.name}-master"
        self._master: SshNode | None = None
        self._has_addons = False

    def check(self) -> list[Finding]:
        return vagrant_check.findings(self.config)

    # What is made, in order.

    def actions(self) -> Sequence[Action]:
        guest, steps = self.config.guest, lock()["guests"][self.config.guest]["steps"]
        before = steps[: steps.index("plugin")]
        return (
            Action("hypervisor", self._ensure_ground, "libvirt"),
            Action(f"box {guest}", self._ensure_box, "box"),
            Action("virtual machine master", self._ensure_machine, "machine"),
            Action("settings of the guest", self._settle, "settings"),
            *([Action("bundle for the guest", self._send_bundle, "bundle")] if self._files() else ()),
            *(Action(f"{name} on master", self._step(name), SHORT.get(name, name)) for name in before),
            Action("kubeconfig for the workstation", self._export_kubeconfig, "kubectl"),
        )

    def _ground(self) -> Ground:
        found = vagrant_ground.find(self.config.name)
        if found is None:
            raise ProviderError(f"environment {self.config.name} is not up", hint="envctl up makes it.")
        return found

    def _ensure_ground(self) -> str:
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "envctl.yaml").write_text(dump(self._asked))
        ground = vagrant_ground.ensure(self.config.name)
        if not ground.holder:
            return "the system's libvirt"
        # In a network of its own there is no internet: an address on the router stands for it.
        ground.run("ip", "address", "replace", f"{INTERNET.ip}/32", "dev", "lo")
        return "libvirt in namespaces of its own"

    def _ensure_box(self) -> str:
        if self.config.guest != "debian12":
            return "by its pinned address"
        if self._domain_state():
            return "the machine is made of it already"
        from envctl.box.build import build

        box = build(progress=self.tell)
        driver = self.driver()
        if driver.has_box(box.name, box.version):
            return f"{box.name} {box.version}"
        driver.add_box(box.metadata)
        return f"{box.name} {box.version} added"

    def _ensure_machine(self) -> str:
        accelerator = vagrant_check.driver()
        how = "KVM" if accelerator == "kvm" else "emulated"
        if self._domain_state() != "running":
            build_wheels()  # Vagrant would, but where it runs there may be no package index
            self.driver().up(provider="libvirt", provision=False)
        self.master().run("true", timeout=60)
        return f"{self.config.nodes.master}, {how}"

    def _settle(self) -> str:
        return settle(self.master(), self.config.guest, vagrant_settings.of_node(self.config))

    def _files(self) -> list[dict[str, Any]]:
        """What the steps on the guest download, by the lock; nothing where the box has it all."""
        return list(lock()["guests"][self.config.guest].get("files", ()))

    def _send_bundle(self) -> str:
        from envctl.provision.downloads import send

        return send(self.master(), self._files())

    def _step(self, name: str) -> Callable[[], str]:
        return lambda: GuestStep(name).run(self.master())

    def driver(self) -> Driver:
        """Vagrant, for this environment."""
        ground = self._ground()
        known = {"ENVCTL_DNS_HOST": f"{INTERNET.ip} {INTERNET_NAME}"} if ground.holder else {}
        return Driver(ground, self.state, vagrant_settings.of_vagrant(self.config) | known)

    def destroy(self) -> None:
        if self._master is not None:
            self._master.close()
            self._master = None
        ground = vagrant_ground.find(self.config.name)
        if ground and not ground.holder and self.state.is_dir():
            self.driver().destroy()
            script = Path(__file__).parents[2] / "provision/libvirt/network.sh"
            ground.run(str(script), "remove", env=vagrant_settings.of_vagrant(self.config))
        vagrant_ground.remove(self.config.name)
        (vagrant_ground.shared_pool() / f"{self.domain}.img").unlink(missing_ok=True)

    def exists(self) -> bool:
        return self.state.is_dir()

    # Who is there.

    host_interface = vagrant_settings.BRIDGE

    def _virsh(self, *words: str, check: bool = True) -> str:
        return self._ground().run("virsh", "--connect", "qemu:///system", *words, check=check).strip()

    def _domain_state(self) -> str:
        if vagrant_ground.find(self.config.name) is None:
            return ""
        return self._virsh("domstate", self.domain, check=False)

    def nodes(self) -> tuple[SshNode, ...]:
        return (self.master(),) if self._domain_state() == "running" else ()

    def master(self) -> SshNode:
        """The machine behind ssh; one connection for the life of this provider."""
        if self._master is None:
            key = self.state / "vagrant/machines/master/libvirt/private_key"
            proxy = self._ground().proxy_command()
            address = str(self.config.nodes.master)
            self._master = SshNode(
                "master",
                address,
                user="vagrant",
                identity=str(key),
                proxy=proxy,
                connect_timeout=30,
                known_hosts=str(self.state / "known_hosts"),
            )
        return self._master

    def host(self) -> NamespaceNode:
        ground, address = self._ground(), str(self.config.network.host)
        return NamespaceNode("host", address, ground.holder) if ground.holder else LocalNode(address)

    @property
    def kubeconfig(self) -> Path:
        """The cluster's administrator, for the workstation."""
        return self.state / "kubeconfig"

    def _export_kubeconfig(self) -> str:
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_bytes(self.master().get("/etc/kubernetes/admin.conf"))
        return str(self.kubeconfig)

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 60) -> Completed:
        """Run kubectl where the workstation is on the LAN. Raises NodeError."""
        host = self.host()
        return host.run_argv(host.enter(*self.kubectl_argv(*arguments)), input=input, timeout=timeout)

    def kubectl_argv(self, *arguments: str) -> list[str]:
        """The kubectl of the box's own version, else the workstation's."""
        own = default_root() / "bin/kubectl"
        program = str(own) if own.exists() else shutil.which("kubectl")
        if not program:
            raise ProviderError("kubectl is not installed", hint=vagrant_check.KUBECTL_HINT)
        return [program, f"--kubeconfig={self.kubeconfig}", *arguments]

    def internet(self) -> tuple[str, str] | None:
        return (str(INTERNET.ip), INTERNET_NAME) if self._ground().holder else None

    def apiserver(self) -> Apiserver:
        pem = self.master().get("/etc/kubernetes/pki/apiserver.crt").decode()
        return Apiserver("real", str(self.config.nodes.master), self.config.apiserver.port, pem)

    def server_leases(self) -> tuple[ServerLease, ...]:
        ground = self._ground()
        text = ground.run("cat", f"/var/lib/libvirt/dnsmasq/{vagrant_settings.BRIDGE}.status", check=False)
        return tuple(
            ServerLease(
                row["mac-address"],
                row["ip-address"],
                row.get("hostname", ""),
                row.get("client-id", ""),
                int(row["expiry-time"]),
            )
            for row in json.loads(text or "[]")
        )

    # The plugin.

    def plugin_actions(self, node: Node) -> Sequence[Action]:
        after = lock()["guests"][self.config.guest]["steps"]
        names = after[after.index("plugin") : after.index("uplink")]
        return (
            Action("settings of the guest", self._settle),
            *(Action(f"{name} on {node.name}", self._step(name)) for name in names),
            Action(f"agent on {node.name}", lambda: self._agent(node)),
        )

    def _agent(self, node: Node) -> str:
        self.start_agent(node)
        return "answers STATUS"

    def start_agent(self, node: Node) -> None:
        node.run("systemctl start brdhcpd", timeout=60)
        status = '{"cniVersion":"1.1.0","name":"status","type":"brdhcp"}'
        environment = {"CNI_COMMAND": "STATUS", "CNI_PATH": "/opt/cni/bin"}
        node.run("/opt/cni/bin/brdhcp", input=status, env=environment, timeout=60)

    def stop_agent(self, node: Node, signal: str = "TERM") -> None:
        node.run("systemctl kill --signal=%s brdhcpd; systemctl stop brdhcpd", signal, timeout=60)

    # Power.

    def reboot(self, node: Node) -> SshNode:
        self.power_cut()
        return self.power_on()

    def power_cut(self) -> None:
        """Take the power away: what the guest had not written is lost."""
        self._virsh("destroy", self.domain)
        self.master().close()

    def end_at_reset(self) -> None:
        """From now on a machine that resets itself ends there, until :meth:`power_on`.

        An emulator that resets in place drags along its translations of what was in memory: the kernel then takes
        40 s to boot, and 4 s in a new process.
        """
        self._virsh("set-lifecycle-action", self.domain, "reboot", "destroy", "--live", "--config")

    def is_off(self) -> bool:
        return self._domain_state() != "running"

    def power_on(self) -> SshNode:
        """Start the machine and wait until it lets us in."""
        if self.is_off():
            self._virsh("start", self.domain)
        return self._wait_for_ssh()

    def _wait_for_ssh(self) -> SshNode:
        said = ""

        def let_in() -> SshNode | None:
            nonlocal said
            try:
                self.master().run("true")
            except NodeError as error:
                self.master().close()
                said = str(error)
                return None
            return self.master()

        late = f"master does not let us in after {BOOTS_WITHIN_S:.0f} s"
        hint = "a slow machine may still be booting: envctl up goes on from here"
        return until(
            let_in,
            within=BOOTS_WITHIN_S,
            otherwise=lambda: ProviderError(late, cause=said, hint=hint),
            pause=0.5,
        )

    def halt(self) -> None:
        """Shut the machine down in order; :meth:`create` or :meth:`power_on` starts it again."""
        self.master().close()
        self.driver().halt()

    def suspend(self) -> None:
        """Put the machine's memory to disk; :meth:`resume` goes on where it stopped."""
        self.master().close()
        self.driver().suspend()

    def resume(self) -> SshNode:
        """Go on after :meth:`suspend`, or start after :meth:`halt`."""
        if self._domain_state() == "running":
            return self.master()
        self.driver().resume()
        return self.power_on()

    def snapshot(self, verb: str, name: str) -> str:
        """``save``, ``restore`` or ``delete`` a snapshot of memory and disk, or ``list`` them."""
        if verb == "list":
            return self._virsh("snapshot-list", self.domain, "--name")
        words = {"save": "snapshot-create-as", "restore": "snapshot-revert", "delete": "snapshot-delete"}
        if verb not in words:
            raise ProviderError(f"a snapshot can be saved, restored, deleted or listed, not {verb}")
        self._virsh(words[verb], self.domain, name)
        self.master().close()
        return name

    # Pods.

    def cluster(self) -> Cluster:
        """The cluster's pods."""
        return Cluster(self.kubectl, self.master(), vagrant_settings.IMAGES[self.config.guest])

    def pod_add(self, node: Node, name: str) -> Pod:
        self.ensure_addons()
        return self.cluster().add(name)

    def ensure_addons(self) -> None:
        """What the cluster's pods need of others: before the uplink is migrated they would have no network."""
        if not self._has_addons:
            names = lock()["guests"][self.config.guest]["steps"]
            for name in names[names.index("uplink") + 1 :]:
                GuestStep(name).run(self.master())
            self._has_addons = True

    def pod_list(self) -> tuple[Pod, ...]:
        if not self.kubeconfig.exists() or self._domain_state() != "running":
            return ()
        return self.cluster().pods()

    def pod_node(self, name: str) -> NetnsNode:
        pod = self.cluster().pod(name)
        if not pod.netns:
            raise ProviderError(f"pod {name} does not run on {pod.node}")
        return NetnsNode(name, pod.address, self.master(), pod.netns)

    def pod_rm(self, name: str) -> None:
        self.cluster().remove(name)

    # Afterwards.

    def logs(self, directory: Path) -> list[Path]:
        return vagrant_logs.collect(self.master(), self.state, directory)

    def scene(self) -> AbstractContextManager[Scene]:
        from envctl.providers.vagrant_scene import machine_scene

        return machine_scene(self, self._ground())
