#!/usr/bin/env bash
# The node's NIC is configured by network-scripts and its lease kept by dhclient, both of which brdhcp knows.
# NetworkManager would put the node's address back on the NIC once that is a port of the bridge.
# Where Vagrant comes in by a NIC beside the LAN's, NODE_SSH_NIC is that one: the way out is the LAN's.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

scripts=/etc/sysconfig/network-scripts
: "${NODE_SSH_NIC:=}"

# has NIC LINE, put NIC LINE: the NIC's file has the line, in place of what it had under that name.
has() { grep -qxF "$2" "$scripts/ifcfg-$1" 2>/dev/null; }
put() { sed -i -e "\$a $2" -e "/^${2%%=*}=/d" "$scripts/ifcfg-$1"; }

is_done() {
    has "$NODE_UPLINK" NM_CONTROLLED=no || fail "$scripts/ifcfg-$NODE_UPLINK leaves $NODE_UPLINK to NetworkManager"
    [[ -z "$NODE_SSH_NIC" ]] || has "$NODE_SSH_NIC" DEFROUTE=no || fail "the way out may be $NODE_SSH_NIC"
    ! systemctl is-active --quiet NetworkManager || fail "NetworkManager runs"
    ! systemctl is-enabled --quiet NetworkManager 2>/dev/null || fail "NetworkManager starts at boot"
    systemctl is-enabled --quiet network 2>/dev/null || fail "network-scripts do not run at boot"
}

do_it() {
    local nic
    if [[ -n "$NODE_SSH_NIC" && ! -e "$scripts/ifcfg-$NODE_UPLINK" ]]; then
        printf '%s\n' "DEVICE=$NODE_UPLINK" TYPE=Ethernet ONBOOT=yes BOOTPROTO=dhcp PERSISTENT_DHCLIENT=yes \
            >"$scripts/ifcfg-$NODE_UPLINK"
    fi
    for nic in "$NODE_UPLINK" $NODE_SSH_NIC; do
        [[ -f "$scripts/ifcfg-$nic" ]] || fail "there is no $scripts/ifcfg-$nic: without NetworkManager, $nic would have no address"
        put "$nic" NM_CONTROLLED=no
    done
    [[ -z "$NODE_SSH_NIC" ]] || put "$NODE_SSH_NIC" DEFROUTE=no
    systemctl disable --now NetworkManager 2>/dev/null || true
    systemctl enable network
    # The NIC goes down and comes back with the address that is reserved for it; ssh outlives that.
    systemctl restart network
}

main "$@"
