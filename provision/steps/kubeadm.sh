#!/usr/bin/env bash
# One control-plane node by kubeadm, its apiserver at NODE_ADDRESS:K8S_PORT.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

healthy() { [[ "$(kubectl --request-timeout=10s get --raw /healthz 2>/dev/null)" == ok ]]; }

is_done() {
    [[ -s /etc/kubernetes/admin.conf ]] || fail "there is no cluster on this node"
    kubectl --request-timeout=20s -n kube-system get daemonset kube-proxy >/dev/null || fail "kubeadm init did not end"
}

do_it() {
    fill "$home/kubernetes/kubeadm.yaml" >/etc/kubernetes-kubeadm.yaml
    if [[ -s /etc/kubernetes/admin.conf ]]; then
        kubeadm reset --force >/dev/null 2>&1 || true
    fi
    # shellcheck disable=SC2086  # a list of words
    kubeadm init --config /etc/kubernetes-kubeadm.yaml ${K8S_INIT_OPTIONS:-} || {
        journalctl --no-pager --unit kubelet --lines 40 >&2
        fail "kubeadm init failed"
    }
    wait_for 300 "the apiserver answering" healthy
    install -d -m 700 -o vagrant -g vagrant /home/vagrant/.kube 2>/dev/null &&
        install -m 600 -o vagrant -g vagrant /etc/kubernetes/admin.conf /home/vagrant/.kube/config
}

main "$@"
