#!/usr/bin/env bash
# The kernel and the host as Kubernetes and bridged pods need them: modules, sysctls, no swap, a name that resolves.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

is_done() {
    [[ -z "$(swapon --noheadings --show)" ]] || fail "swap is on"
    [[ "$(sysctl -n net.bridge.bridge-nf-call-iptables 2>/dev/null)" == 1 ]] || fail "bridged frames pass by iptables"
    [[ "$(sysctl -n net.ipv4.ip_forward)" == 1 ]] || fail "forwarding is off"
    grep -qE "^${NODE_ADDRESS}[[:space:]]+${NODE_NAME}\$" /etc/hosts || fail "$NODE_NAME does not resolve to its address"
    ip -4 -oneline addr show | grep -qF " $NODE_ADDRESS/" || fail "no interface has $NODE_ADDRESS"
}

do_it() {
    swapoff -a
    sed -i '/\sswap\s/d' /etc/fstab
    printf 'overlay\nbr_netfilter\n' >/etc/modules-load.d/kubernetes.conf
    modprobe -a overlay br_netfilter
    install -m 644 "$home/kubernetes/sysctl.conf" /etc/sysctl.d/99-kubernetes.conf
    sysctl -q -p /etc/sysctl.d/99-kubernetes.conf
    sed -i -E "/[[:space:]]$NODE_NAME\$/d" /etc/hosts
    echo "$NODE_ADDRESS $NODE_NAME" >>/etc/hosts
}

main "$@"
