#!/usr/bin/env bash
# The control plane's images by digest, from the registry or its mirror, under the names that kubeadm asks for. What was
# loaded under such a name before is left as it is.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=fetch.sh
. "$(dirname "$0")/fetch.sh"

each() {
    local python=python3
    command -v python3 >/dev/null || python=python
    "$python" -c 'import json, sys
for item in sorted(json.load(open(sys.argv[1]))["guests"]["centos7"]["images"]["list"].items()):
    print("\t".join(item))' "${ENVCTL_LOCK:-$home/lock.json}"
}

has() { docker image inspect "$K8S_IMAGE_REPOSITORY/$1" >/dev/null 2>&1; }

is_done() {
    local name digest
    while IFS=$'\t' read -r name digest; do
        has "$name" || fail "no image $name"
    done < <(each)
}

do_it() {
    local name digest registry
    while IFS=$'\t' read -r name digest; do
        for registry in $K8S_IMAGE_REPOSITORY $(locked images.mirrors); do
            has "$name" && break
            docker pull "$registry/${name%:*}@$digest" >/dev/null &&
                docker tag "$registry/${name%:*}@$digest" "$K8S_IMAGE_REPOSITORY/$name"
        done
        has "$name" || fail "$name ($digest) could not be had"
    done < <(each)
}

main "$@"
