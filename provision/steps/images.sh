#!/usr/bin/env bash
# The control plane's images by digest, from the registry or its mirror, under the names that kubeadm asks for.
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

is_done() {
    local name digest
    while IFS=$'\t' read -r name digest; do
        docker image inspect "$K8S_IMAGE_REPOSITORY/$name" >/dev/null 2>&1 || fail "no image $name"
    done < <(each)
}

do_it() {
    local name digest registry got
    while IFS=$'\t' read -r name digest; do
        got=
        if [[ -f "$bundle/${name/:/_}.tar" ]]; then
            docker load --quiet --input "$bundle/${name/:/_}.tar" && got=yes
        fi
        for registry in $K8S_IMAGE_REPOSITORY $(locked images.mirrors); do
            [[ -n "$got" ]] && break
            docker pull "$registry/${name%:*}@$digest" >/dev/null &&
                docker tag "$registry/${name%:*}@$digest" "$K8S_IMAGE_REPOSITORY/$name" && got=yes
        done
        [[ -n "$got" ]] || fail "$name ($digest) could not be had"
    done < <(each)
}

main "$@"
