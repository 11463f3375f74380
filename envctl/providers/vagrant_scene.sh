#!/bin/sh
# The node of a symptom on a virtual machine: enslave | undo. Run there, away from any ssh connection, since both cut it.
# Arguments: verb, NIC, bridge, an IPv6 address for the bridge, folder. `undo` finds what there is, and does so again.
set -u
export PATH=/opt/brdhcp/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
verb=$1 nic=$2 bridge=$3 rescue=$4 folder=$5
conf=/proc/sys/net/ipv4/conf
sleep 1 # the answer to whoever asked for this goes out first: it has the way that is about to be cut

case "$verb" in
enslave)
    [ -d "/sys/class/net/$bridge" ] || ip link add "$bridge" type bridge
    ip link set "$bridge" up
    # IPv4 is what goes wrong; the bridge's own IPv6 address is the way in meanwhile.
    ip -6 addr replace "$rescue/64" dev "$bridge" nodad
    ip link set "$nic" master "$bridge"
    touch "$folder/done"
    ;;
undo)
    if [ -S /run/cni/dhcp.sock ]; then
        for process in /proc/[0-9]*; do
            case "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" in
            */dhcp\ daemon\ *) kill "${process#/proc/}" ;;
            esac
        done
    fi
    rm -f /run/cni/dhcp.sock /run/cni/dhcp.log
    for netns in /run/netns/scene-*; do
        [ ! -e "$netns" ] || ip netns delete "${netns##*/}"
    done
    [ ! -e "/sys/class/net/$bridge/brif/$nic" ] || brdhcpctl uplink status -o json | grep -q '"rolled-back"' ||
        brdhcpctl uplink rollback
    [ ! -e "/sys/class/net/$bridge/brif/$nic" ] || ip link set "$nic" nomaster
    [ ! -d "/sys/class/net/$bridge" ] || ip link delete "$bridge"
    while read -r scope value; do
        [ ! -e "$conf/$scope/rp_filter" ] || echo "$value" >"$conf/$scope/rp_filter"
    done <"$folder/rp_filter"
    rm -rf "$folder/net.d" "$folder/results"
    touch "$folder/done"
    ;;
esac
