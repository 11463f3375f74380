"""What puts the plugin on a node of the lab: its files, the network configuration, a running agent."""

from __future__ import annotations

import json
import signal as signals
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from envctl.config import Config
from envctl.node import NamespaceNode
from envctl.providers import lab_machines
from envctl.providers.base import Action, ProviderError
from envctl.providers.lab_check import REFERENCE_PLUGINS

BIN = "/opt/cni/bin"
ROOT = Path(__file__).parents[2]
SHIM = ROOT / "plugin/shim/brdhcp"
COMPILED_SHIM = ROOT / "build/shim/brdhcp"
COMMANDS = "/opt/brdhcp/bin"
SOCKET = "/run/brdhcp/agent.sock"
AGENT_LOG = "/run/brdhcpd.log"
AGENT_WAIT_S = 15.0
AGENT_START_S = 1.0
"""Until then a process that is not seen yet may still be on its way from fork to exec."""


def netconf_path(config: Config) -> str:
    return f"/etc/cni/net.d/10-{config.plugin.network}.conf"


def shim() -> Path:
    """The CNI executable: the compiled one where there was a compiler, else its Python twin."""
    return COMPILED_SHIM if COMPILED_SHIM.exists() else SHIM


def actions(config: Config, node: NamespaceNode) -> Sequence[Action]:
    return (
        Action(f"plugin files on {node.name}", lambda: install_files(node)),
        Action(f"network {config.plugin.network} on {node.name}", lambda: install_netconf(config, node)),
        Action(f"agent on {node.name}", lambda: start_agent(node)),
    )


def install_files(node: NamespaceNode) -> str:
    """The shim under both its names, the reference plugins beside it, the agent and brdhcpctl in the node's
    PATH.
    """
    node.put(f"{BIN}/brdhcp", shim().read_bytes(), 0o755)
    references = [path for path in sorted(REFERENCE_PLUGINS.glob("*")) if path.is_file()]
    links = {f"{BIN}/{path.name}": path for path in references} | {f"{BIN}/brdhcp-ipam": Path("brdhcp")}
    links |= {f"{COMMANDS}/{name}": Path(sys.executable).with_name(name) for name in ("brdhcpd", "brdhcpctl")}
    for name, target in links.items():
        link = node.outside(name)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not (link.is_symlink() and link.readlink() == target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    kind = "compiled" if shim() == COMPILED_SHIM else "Python"
    return f"brdhcp, brdhcp-ipam ({kind}) and {len(references)} reference plugins in {BIN}"


def install_netconf(config: Config, node: NamespaceNode) -> str:
    path = netconf_path(config)
    node.put(path, (json.dumps(config.netconf(), indent=2) + "\n").encode())
    return path


def is_installed(node: NamespaceNode) -> bool:
    return node.outside(f"{BIN}/brdhcp").exists()


def agent_pids(node: NamespaceNode) -> list[int]:
    """The processes of the node's agent, as numbered here; one that is just being started counts."""
    names = ("brdhcpd", "exec brdhcpd")
    inside = lab_machines.inside(node.pid)
    return [pid for pid, argv in inside if any(arg.rpartition("/")[2] in names for arg in argv)]


def start_agent(node: NamespaceNode) -> str:
    """The agent runs and answers STATUS; ProviderError with the end of its log when it does not."""
    started = time.monotonic()
    if not agent_pids(node):
        node.spawn("brdhcpd", log=AGENT_LOG)
    wait_until_ready(node, started + AGENT_WAIT_S)
    return f"answers STATUS after {time.monotonic() - started:.2f} s"


def wait_until_ready(node: NamespaceNode, deadline: float) -> None:
    """Wait until the agent takes connections, then until STATUS, asked through the shim, says nothing is
    wrong.
    """
    said = "its socket takes no connection"
    seen, born = False, time.monotonic() + AGENT_START_S
    while time.monotonic() < deadline:
        runs = bool(agent_pids(node))
        seen = seen or runs
        if not runs and (seen or time.monotonic() > born):
            said = "it ended"
            break
        if _connects(node):
            status = node.run(
                "exec %s", f"{BIN}/brdhcp", check=False, env={"CNI_COMMAND": "STATUS", "CNI_PATH": BIN},
                input='{"cniVersion":"1.1.0","name":"status","type":"brdhcp"}',
            )  # fmt: skip
            if status.exit_status == 0:
                return
            said = (status.stdout + status.stderr).strip()
        time.sleep(0.005)
    log = node.get(AGENT_LOG).decode(errors="replace").splitlines()[-15:]
    raise ProviderError(
        f"{node.name}: the agent does not answer STATUS: {said}",
        cause="\n".join(log),
        hint="envctl logs has it all",
    )


def _connects(node: NamespaceNode) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(node.outside(SOCKET)))
        except OSError:
            return False
    return True


def stop_agent(node: NamespaceNode, signal: str = "TERM") -> None:
    """No agent runs on the node: it was sent SIG``signal`` and has ended, or there was none."""
    lab_machines.end(agent_pids(node), signals.Signals[f"SIG{signal}"])
