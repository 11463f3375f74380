#!/usr/bin/env bash
# The uplink migration, over the very connection it endangers. The next step confirms it, over the new path; else the
# guard undoes it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

is_done() {
    [[ -e "/sys/class/net/$NODE_BRIDGE/brif/$NODE_UPLINK" ]] || fail "$NODE_UPLINK is no port of $NODE_BRIDGE"
    ip -4 -oneline addr show dev "$NODE_BRIDGE" | grep -qF " $NODE_ADDRESS/" || fail "$NODE_BRIDGE has no $NODE_ADDRESS"
}

do_it() {
    brdhcpctl uplink migrate --uplink "$NODE_UPLINK" --bridge "$NODE_BRIDGE" --confirm-within "$NODE_GUARD_S"
}

main "$@"
