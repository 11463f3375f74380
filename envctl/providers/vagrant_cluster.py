"""Pods of a real cluster in the words of :mod:`envctl.providers.base`.

kubectl runs on the workstation; what the network gave a pod is in the runtime's records on the node.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envctl.node import Completed, Node
from envctl.providers.base import Pod, ProviderError
from envctl.wait import until

LABEL = "envctl.pod"
READY_S = 240.0
RECORDS = Path(__file__).with_name("vagrant_records.py")


def manifest(name: str, image: str, node: str) -> dict[str, Any]:
    """A pod that serves its own name on port 80, and ends as soon as it is told to: the first process of a container
    ignores SIGTERM unless it asks for it, and would hold up a machine's shutdown by a minute and a half.
    """
    serve = f"trap exit TERM; mkdir -p /www && echo {name} >/www/index.html; httpd -f -p 80 -h /www & wait"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: name, "app": "envctl"}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", serve],
                }
            ],
        },
    }


class Cluster:
    """The cluster behind one master. ``kubectl(arguments, input, timeout)`` runs on the workstation."""

    def __init__(self, kubectl: Callable[..., Completed], master: Node, image: str) -> None:
        self._kubectl = kubectl
        self.master = master
        self.image = image

    def kubectl(self, *arguments: str, input: str | None = None, timeout: float = 60) -> Completed:
        return self._kubectl(*arguments, input=input, timeout=timeout)

    def add(self, name: str) -> Pod:
        """Make a pod and wait until it runs and is ready."""
        self._wait_for_account()
        self.kubectl("apply", "-f", "-", input=json.dumps(manifest(name, self.image, self.master.name)))
        within = f"--timeout={READY_S:.0f}s"
        try:
            self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", within, timeout=READY_S + 30)
        except Exception as late:
            said = self.kubectl("describe", "pod", name).stdout.partition("Events:")[2]
            raise ProviderError(
                f"pod {name} did not become ready within {READY_S:.0f} s", cause=said
            ) from late
        found = next((pod for pod in self.pods() if pod.name == name), None)
        if found is None:
            raise ProviderError(f"pod {name} is ready, and yet the node has no record of its network")
        return found

    def _wait_for_account(self) -> None:
        """The account that pods run under appears late on a slow machine; a pod made before is refused."""
        look = "get", "serviceaccount", "default", "--ignore-not-found", "-o", "name"
        late = f"the cluster has no default ServiceAccount after {READY_S:.0f} s"
        until(
            lambda: self.kubectl(*look).stdout.strip(),
            within=READY_S, otherwise=lambda: ProviderError(late), pause=0.5,
        )  # fmt: skip

    def pods(self) -> tuple[Pod, ...]:
        """Every pod of ours, with what the runtime's record says the network gave it."""
        listed = json.loads(self.kubectl("get", "pods", "-l", LABEL, "-o", "json").stdout)["items"]
        if not listed:
            return ()
        records = self._records()
        return tuple(_pod(item, records) for item in listed)

    def _records(self) -> list[dict[str, Any]]:
        python = (
            "if test -x /opt/brdhcp/bin/python3; then set -- /opt/brdhcp/bin/python3; else set -- python3; fi"
        )
        records = self.master.run(python + '; exec "$@" -c %s', RECORDS.read_text()).json()
        return [record for record in records if record["namespace"] == "default"]

    def pod(self, name: str) -> Pod:
        """One pod; ProviderError when there is none of that name."""
        for pod in self.pods():
            if pod.name == name:
                return pod
        raise ProviderError(f"there is no pod {name}")

    def remove(self, name: str) -> None:
        """Delete a pod and wait until the runtime has taken it off the network.

        The kubelet says so to the apiserver after its next tidying only, half a minute later: the object is dropped as
        soon as nothing is behind it.
        """
        self.pod(name)
        self.kubectl("delete", "pod", name, "--wait=false")
        late = f"pod {name} is still on the network {READY_S:.0f} s after it was deleted"
        hint = f"kubectl describe pod {name} and the kubelet's journal on {self.master.name} say what it waits for"
        until(
            lambda: all(record["name"] != name for record in self._records()),
            within=READY_S, otherwise=lambda: ProviderError(late, hint=hint), pause=0.5,
        )  # fmt: skip
        self.kubectl("delete", "pod", name, "--ignore-not-found", "--grace-period=0", "--force")


def _pod(item: dict[str, Any], records: list[dict[str, Any]]) -> Pod:
    name, status = item["metadata"]["name"], item["status"]
    address = status.get("podIP", "")
    mine = [record for record in records if record["name"] == name]
    record = next((one for one in mine if one["pid"] and _has(one, address)), mine[-1] if mine else {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", ()))
    netns = f"/proc/{record['pid']}/ns/net" if record.get("pid") else ""
    return Pod(
        name,
        item["spec"].get("nodeName", ""),
        record.get("container", ""),
        netns,
        ready and "deletionTimestamp" not in item["metadata"],
        record.get("result", {}),
    )


def _has(record: dict[str, Any], address: str) -> bool:
    return bool(address) and address in json.dumps(record["result"])
