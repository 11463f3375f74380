#!/usr/bin/env bash
# The uplink migration is right: a step of its own, since that it is reached is the proof. Who sends it came over the
# migrated interface.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

is_done() {
    brdhcpctl uplink status -o json | grep -q '"state": *"confirmed"' || fail "the migration is not confirmed"
}

do_it() {
    brdhcpctl uplink confirm
}

main "$@"
