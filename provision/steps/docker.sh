#!/usr/bin/env bash
# Docker 18.09.9 with the cgroup driver that the kubelet has; SELinux and firewalld out of the way.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=fetch.sh
. "$(dirname "$0")/fetch.sh"

is_done() {
    [[ "$(docker version --format '{{.Server.Version}}' 2>/dev/null)" == 18.09.9 ]] || fail "Docker 18.09.9 does not run"
    cmp -s "$home/guest/daemon.json" /etc/docker/daemon.json || fail "Docker has another configuration"
    systemctl is-enabled --quiet docker || fail "Docker does not start at boot"
    systemctl is-enabled --quiet brdhcp-forward || fail "the rule that lets bridged frames pass is not set at boot"
    [[ "$(getenforce 2>/dev/null || echo Disabled)" != Enforcing ]] || fail "SELinux is enforcing"
    ! systemctl is-active --quiet firewalld || fail "firewalld runs: it rejects what is bridged"
}

do_it() {
    setenforce 0 2>/dev/null || true
    sed -i 's/^SELINUX=enforcing$/SELINUX=permissive/' /etc/selinux/config
    systemctl disable --now firewalld 2>/dev/null || true
    # container-selinux is of CentOS' extras, and Docker wants it: first one, then the other, each version named.
    # shellcheck disable=SC2046  # lists of words
    yum -y -q install $(locked packages.centos.install)
    # shellcheck disable=SC2046
    yum -y -q install $(locked packages.docker.install)
    install -d /etc/docker
    install -m 644 "$home/guest/daemon.json" /etc/docker/daemon.json
    install -m 644 "$home/guest/brdhcp-forward.service" /etc/systemd/system/
    systemctl daemon-reload
    systemctl enable --quiet docker brdhcp-forward
    systemctl restart docker brdhcp-forward
}

main "$@"
