# Files by address and checksum: the bundle first, then each address in turn; nothing is accepted on trust.
# shellcheck shell=bash

bundle=${ENVCTL_BUNDLE:-/usr/local/lib/envctl/bundle}

# locked PATH FIELD...: the entries at PATH of lock.json, one per line, fields separated by tabs (lists by spaces).
locked() {
    local python=python3
    command -v python3 >/dev/null || python=python
    "$python" -c '
import json, sys
entries = json.load(open(sys.argv[1]))["guests"]["centos7"]
for name in sys.argv[2].split("."):
    entries = entries[name]
for entry in entries if isinstance(entries, list) else [entries]:
    if not isinstance(entry, dict):
        print(entry)
        continue
    values = [entry.get(field, "-") or "-" for field in sys.argv[3:]]
    print("\t".join(" ".join(value) if isinstance(value, list) else value for value in values))
' "${ENVCTL_LOCK:-$home/lock.json}" "$@"
}

matches() { [[ "$(sha256sum "$1" | cut -d' ' -f1)" == "$2" ]]; }

# fetch NAME SHA256 TARGET URL...: TARGET has the file of that checksum. SHA256 `-` is refused unless allowed.
fetch() {
    local name=$1 sha=$2 target=$3 url
    shift 3
    if [[ "$sha" == - && "${ENVCTL_ALLOW_UNVERIFIED:-0}" != 1 ]]; then
        fail "$name has no checksum in the lock file; ENVCTL_ALLOW_UNVERIFIED=1 takes it all the same"
    fi
    if [[ -f "$target" && "$sha" != - ]] && matches "$target" "$sha"; then
        return 0
    fi
    for url in "file://$bundle/$name" "$@"; do
        if curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 \
            --output "$target.part" "$url" 2>"$target.why"; then
            if [[ "$sha" == - ]] || matches "$target.part" "$sha"; then
                mv "$target.part" "$target"
                rm -f "$target.why"
                return 0
            fi
            echo "$name: $url is not what was asked for (its sha256 is not $sha)" >&2
        elif [[ "$url" != file://* ]]; then
            echo "$name: $url: $(cat "$target.why")" >&2
        fi
        rm -f "$target.part" "$target.why"
    done
    fail "$name could not be had from any of: $*"
}
