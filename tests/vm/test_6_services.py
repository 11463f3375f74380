"""Services in front of pods that are hosts on the LAN."""

from __future__ import annotations

import json
import re

from tests.vm import until
from tests.vm.conftest import Machine

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "NodePort", "selector": {"app": "envctl"}, "ports": [{"port": 80, "nodePort": 30080}]},
}
FETCH = "curl --silent --show-error --fail --max-time 10 http://%s/"
DOZEN = f"for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do {FETCH} || exit; done"


def service_address(vm: Machine, name: str, namespace: str = "default") -> str:
    return vm.kubectl("-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")


def test_a_service_in_front_of_two_pods_answers_from_a_pod_the_node_and_the_workstation(vm: Machine) -> None:
    pods = vm.pods()
    vm.before["expiries"] = vm.expiries()
    vm.kubectl("apply", "-f", "-", input=json.dumps(SERVICE))
    cluster = service_address(vm, "web")
    seen: set[str] = set()

    def both_answered() -> bool:
        seen.add(vm.run(FETCH, cluster).stdout.strip())
        return seen == {"pod1", "pod2"}

    until(both_answered, within=120, what="both pods behind the Service answering on the node", pause=0.5)
    for pod in pods:
        asked = set(vm.provider.pod_exec(pod.name, DOZEN, cluster).stdout.split())
        assert asked == {"pod1", "pod2"}, f"{pod.name} reaches itself and the other through the Service"
    workstation = set(vm.host(DOZEN, "172.16.91.10:30080").stdout.split())
    assert workstation == {"pod1", "pod2"}, "the NodePort answers the workstation"


def test_a_pod_reaches_the_apiserver_by_its_address_and_by_its_service(vm: Machine) -> None:
    vm.pod("pod1")
    for address in ("172.16.91.10:8443", service_address(vm, "kubernetes")):
        line = "curl --silent --insecure --max-time 10 https://%s/version"
        assert json.loads(vm.provider.pod_exec("pod1", line, address).stdout)["gitVersion"] == "v1.20.2"


def test_dns_through_the_service_address_answers(vm: Machine) -> None:
    """Behind 10.96.0.10 is a stand-in for CoreDNS: what is proven is the path from a pod through the Service."""
    vm.pod("pod1")
    assert service_address(vm, "kube-dns", "kube-system") == "10.96.0.10"
    within = "--timeout=240s"
    vm.kubectl("-n", "kube-system", "rollout", "status", "deployment/dns-stand-in", within, timeout=270)
    line = "busybox nslookup kubernetes.default.svc.cluster.local 10.96.0.10"
    until(lambda: "10.96.0.1" in vm.provider.pod_exec("pod1", line, check=False).stdout, within=60,
          what="the name of the apiserver's Service")  # fmt: skip


def test_kubectl_exec_logs_and_port_forward_work_on_lan_pods(vm: Machine) -> None:
    pod = vm.pod("pod1")
    assert pod.address in vm.kubectl("exec", "pod1", "--", "ip", "addr", "show", "eth0")
    vm.kubectl("exec", "pod1", "--", "sh", "-c", "echo said >/proc/1/fd/1")
    assert "said" in vm.kubectl("logs", "pod1")
    forward = vm.provider.kubectl_argv("port-forward", "pod/pod1", "18080:80")
    words = " ".join(forward)
    script = (
        f"{words} >/tmp/forward.log 2>&1 & pid=$!; trap 'kill $pid' EXIT; "
        "for _ in $(seq 100); do curl -s --max-time 5 http://127.0.0.1:18080/ && exit; sleep 0.3; done; "
        "cat /tmp/forward.log"
    )
    assert vm.host(script, timeout=90).stdout.strip() == "pod1"


def test_a_liveness_probe_reaches_a_lan_pod_and_restarts_it_when_it_fails(vm: Machine) -> None:
    serve = "trap exit TERM; mkdir -p /www && echo alive >/www/index.html; httpd -f -p 80 -h /www & wait"
    probe = {"httpGet": {"path": "/index.html", "port": 80}, "periodSeconds": 5, "failureThreshold": 1,
             "timeoutSeconds": 10, "initialDelaySeconds": 5}  # fmt: skip
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probed"},
        "spec": {"nodeName": "master", "terminationGracePeriodSeconds": 1, "containers": [
            {"name": "main", "image": vm.provider.cluster().image, "command": ["sh", "-c", serve],
             "livenessProbe": probe, "readinessProbe": probe}]},
    }  # fmt: skip
    vm.kubectl("apply", "-f", "-", input=json.dumps(pod))
    vm.kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=240s", timeout=260)
    vm.kubectl("exec", "probed", "--", "rm", "/www/index.html")
    count = ("get", "pod", "probed", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
    until(lambda: re.fullmatch(r"[1-9]\d*", vm.kubectl(*count)), within=180, what="the restart by the probe")
    vm.kubectl("delete", "pod", "probed", "--wait=false")
