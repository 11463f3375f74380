#!/usr/bin/env bash
# One control-plane node by kubeadm, its apiserver at NODE_ADDRESS:K8S_PORT.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

healthy() { [[ "$(kubectl --request-timeout=10s get --raw /healthz 2>/dev/null)" == ok ]]; }

# Written when kubeadm init has ended well. A slow apiserver is no reason to begin anew: what a finished init made is
# never reset here.
finished=/etc/kubernetes/init-finished

is_done() {
    [[ -e $finished && -s /etc/kubernetes/admin.conf ]] || fail "kubeadm init has not ended on this node"
}

do_it() {
    fill "$home/kubernetes/kubeadm.yaml" >/etc/kubernetes-kubeadm.yaml
    if [[ -e /etc/kubernetes/manifests/kube-apiserver.yaml ]]; then
        # An init that was cut off half way; nothing has ever run on it.
        kubeadm reset --force >/dev/null 2>&1 || true
    fi
    # shellcheck disable=SC2086  # a list of words
    kubeadm init --config /etc/kubernetes-kubeadm.yaml ${K8S_INIT_OPTIONS:-} || {
        journalctl --no-pager --unit kubelet --lines 40 >&2
        fail "kubeadm init failed"
    }
    wait_for 300 "the apiserver answering" healthy
    touch $finished
    if id vagrant >/dev/null 2>&1; then
        install -d -m 700 -o vagrant -g vagrant /home/vagrant/.kube
        install -m 600 -o vagrant -g vagrant /etc/kubernetes/admin.conf /home/vagrant/.kube/config
    fi
}

main "$@"
