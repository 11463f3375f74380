# What every step begins with: the node's settings, and `is-done | run`, where run leaves alone what is done.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

home=/usr/local/lib/envctl
# shellcheck disable=SC1091
[[ -r /etc/envctl/node.env ]] && . /etc/envctl/node.env

: "${NODE_NAME:=master}" "${NODE_ADDRESS:=172.16.91.10}" "${NODE_PREFIX:=24}" "${NODE_UPLINK:=eth0}"
: "${NODE_BRIDGE:=mybr0}" "${NODE_SERVICE_CIDR:=10.96.0.0/12}" "${NODE_DNS_SERVICE:=10.96.0.10}"
: "${NODE_GUARD_S:=60}" "${CNI_NETWORK:=mycninet}" "${CNI_VERSION:=0.3.1}" "${K8S_PORT:=8443}"
export KUBECONFIG=/etc/kubernetes/admin.conf
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "$(basename "$0" .sh): $*" >&2
    exit 1
}

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds, looking once a second.
wait_for() {
    local within=$1 what=$2 waited=0
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((++waited <= within)) || fail "$what did not come true within $within s"
        sleep 1
    done
}

# fill FILE: the template with every @NAME@ replaced by the variable NAME; a name without a value is an error.
fill() {
    local text name
    text=$(<"$1")
    while [[ "$text" =~ @([A-Z][A-Z0-9_]*)@ ]]; do
        name=${BASH_REMATCH[1]}
        [[ -v $name ]] || fail "$1 wants $name, which is not set"
        text=${text//"@$name@"/${!name}}
    done
    printf '%s\n' "$text"
}

# main VERB: `is-done` answers by exit status; `run` does the step unless it is done, and checks that it then is.
# One `run` at a time, of whatever step: who comes second finds it done. The question is asked in a subshell: its `fail`
# ends the question, not the step.
main() {
    case "${1:-run}" in
    is-done) is_done ;;
    run)
        exec 9<"${BASH_SOURCE[0]}"
        flock 9
        if (is_done) >/dev/null 2>&1; then
            echo "$(basename "$0" .sh): was done"
            return
        fi
        do_it 9<&-
        (is_done) || fail "was carried out, and yet it is not done"
        ;;
    *)
        echo "usage: $(basename "$0") is-done | run" >&2
        exit 2
        ;;
    esac
}
