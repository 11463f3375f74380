#!/usr/bin/env bash
# The NAT network of the reference environment in libvirt: ensure | remove | leases.
# The same addresses as in the documentation: workstation .1, router with DNS and DHCP .2, range .128 to .253.
set -euo pipefail

name=${ENVCTL_NETWORK:-envctl-lan}
bridge=${ENVCTL_NETWORK_BRIDGE:-virbr91}
address=${ENVCTL_ADDRESS:-172.16.91.10}
subnet=${address%.*}
host=${ENVCTL_HOST:-$subnet.1}
gateway=${ENVCTL_GATEWAY:-$subnet.2}
first=${ENVCTL_DHCP_FIRST:-$subnet.128}
last=${ENVCTL_DHCP_LAST:-$subnet.253}
lease=${ENVCTL_LEASE_S:-3600}
mac=${ENVCTL_MAC:-52:54:00:91:00:10}
# A name that the network's DNS server knows, as `address name`; none by default.
known=${ENVCTL_DNS_HOST:-}
export LIBVIRT_DEFAULT_URI=${LIBVIRT_DEFAULT_URI:-qemu:///system}

definition() {
    cat <<XML
<network>
  <name>$name</name>
  <forward mode='nat'/>
  <bridge name='$bridge' stp='off' delay='0'/>
XML
    [[ -z "$known" ]] || echo "  <dns><host ip='${known% *}'><hostname>${known#* }</hostname></host></dns>"
    cat <<XML
  <ip address='$gateway' prefix='24'>
    <dhcp>
      <range start='$first' end='$last'>
        <lease expiry='$lease' unit='seconds'/>
      </range>
      <host mac='$mac' name='master' ip='$address'/>
    </dhcp>
  </ip>
XML
    [[ "$host" == "$gateway" ]] || echo "  <ip address='$host' prefix='24'/>"
    echo "</network>"
}

case "${1:-ensure}" in
ensure)
    if ! virsh net-info "$name" >/dev/null 2>&1; then
        virsh net-define <(definition) >/dev/null
    fi
    # One assignment, not a pipe: a reader that stops early would make virsh fail.
    active=$(virsh net-list --name)
    grep -qxF "$name" <<<"$active" || virsh net-start "$name" >/dev/null
    ;;
remove)
    if virsh net-info "$name" >/dev/null 2>&1; then
        virsh net-destroy "$name" >/dev/null 2>&1 || true
        virsh net-undefine "$name" >/dev/null
    fi
    ;;
leases) virsh net-dhcp-leases "$name" ;;
*)
    echo "usage: network.sh ensure | remove | leases" >&2
    exit 2
    ;;
esac
