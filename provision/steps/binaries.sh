#!/usr/bin/env bash
# kubeadm, kubelet, kubectl, crictl, the reference plugins and a relocatable Python, each by its checksum.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=fetch.sh
. "$(dirname "$0")/fetch.sh"

: "${DOWNLOADS:=/var/cache/envctl}"

each() { locked files name sha256 to unpack urls; }

is_done() {
    local name sha to unpack urls
    while IFS=$'\t' read -r name sha to unpack urls; do
        [[ "$to" == - ]] || { [[ -x "$to" ]] && matches "$to" "$sha"; } || fail "$name is not in its place"
        [[ "$unpack" == - ]] || [[ "$(cat "$DOWNLOADS/$name.unpacked" 2>/dev/null)" == "$sha" ]] ||
            fail "$name is not unpacked"
    done < <(each)
    [[ -e /etc/systemd/system/kubelet.service ]] || fail "the kubelet has no unit"
}

do_it() {
    local name sha to unpack urls
    install -d "$DOWNLOADS"
    while IFS=$'\t' read -r name sha to unpack urls; do
        # shellcheck disable=SC2086  # several addresses
        fetch "$name" "$sha" "$DOWNLOADS/$name" $urls
        [[ "$to" == - ]] || install -D -m 755 "$DOWNLOADS/$name" "$to"
        if [[ "$unpack" != - ]]; then
            install -d "$unpack"
            tar -xzf "$DOWNLOADS/$name" -C "$unpack"
            echo "$sha" >"$DOWNLOADS/$name.unpacked"
        fi
    done < <(each)
    install -D -m 644 "$home/guest/kubelet.service" /etc/systemd/system/kubelet.service
    install -D -m 644 "$home/guest/10-kubeadm.conf" /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
    systemctl daemon-reload
    systemctl enable --quiet kubelet
}

main "$@"
