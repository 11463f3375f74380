#!/usr/bin/env bash
# The NAT network of the reference environment in VirtualBox (6.1 or later): ensure | remove. Router and DNS are on .1
# here; the node's address is reserved for the MAC that the Vagrantfile gives its adapter.
set -euo pipefail

name=${ENVCTL_NETWORK:-envctl-lan}
address=${ENVCTL_ADDRESS:-172.16.91.10}
subnet=${address%.*}
mac=${ENVCTL_MAC:-52:54:00:91:00:10}

case "${1:-ensure}" in
ensure)
    if ! VBoxManage natnetwork list "$name" | grep -w "$name" >/dev/null; then
        VBoxManage natnetwork add --netname "$name" --network "$subnet.0/24" --enable --dhcp on
    fi
    # Its default range begins at .3, which collides with an address of VirtualBox's own.
    VBoxManage dhcpserver modify --netname "$name" --lowerip "$subnet.128" --upperip "$subnet.253" --enable
    VBoxManage dhcpserver modify --network "$name" --mac-address "$mac" --fixed-address "$address"
    VBoxManage natnetwork modify --netname "$name" --port-forward-4 "apiserver:tcp:[127.0.0.1]:8443:[$address]:8443" ||
        echo "natnetwork: port 8443 of this machine is forwarded already" >&2
    ;;
remove) VBoxManage natnetwork remove --netname "$name" ;;
*)
    echo "usage: natnetwork.sh ensure | remove" >&2
    exit 2
    ;;
esac
