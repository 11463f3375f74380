#!/usr/bin/env bash
# CentOS 7 after its end: packages come from the vault, Docker's from its own repository, keys are checked.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=fetch.sh
. "$(dirname "$0")/fetch.sh"

: "${YUM_DIRECTORY:=/etc/yum.repos.d}" "${YUM_KEYS:=/etc/pki/rpm-gpg}"
# shellcheck disable=SC2034  # filled into the template
DOCKER_BASEURL=$(locked packages.docker.baseurl)
CENTOS_VAULT=${CENTOS_VAULT:-$(locked packages.centos.vault | head -n 1)}

is_done() {
    fill "$home/guest/CentOS-Vault.repo" | cmp -s - "$YUM_DIRECTORY/CentOS-Vault.repo" || fail "the vault is not configured"
    fill "$home/guest/docker-ce.repo" | cmp -s - "$YUM_DIRECTORY/docker-ce.repo" || fail "Docker's repository is missing"
    [[ -s "$YUM_KEYS/RPM-GPG-KEY-docker" ]] || fail "Docker's key is missing"
}

do_it() {
    mkdir -p "$YUM_DIRECTORY" "$YUM_DIRECTORY.before-envctl" "$YUM_KEYS"
    find "$YUM_DIRECTORY" -maxdepth 1 -name '*.repo' -exec mv -t "$YUM_DIRECTORY.before-envctl" {} +
    fill "$home/guest/CentOS-Vault.repo" >"$YUM_DIRECTORY/CentOS-Vault.repo"
    fill "$home/guest/docker-ce.repo" >"$YUM_DIRECTORY/docker-ce.repo"
    docker_key
}

# Docker's key has no checksum of its own that is known; its fingerprint is what is checked.
docker_key() {
    local key=$YUM_KEYS/RPM-GPG-KEY-docker wanted found
    wanted=$(locked packages.docker.fingerprint)
    curl --fail --silent --show-error --location --retry 3 --output "$key.part" "$(locked packages.docker.gpgkey)"
    found=$(gpg --batch --with-colons --with-fingerprint --import-options show-only --import <"$key.part" 2>/dev/null ||
        gpg --batch --with-colons --with-fingerprint <"$key.part")
    grep -q "^fpr:*$wanted:" <<<"$found" || fail "Docker's key has not the fingerprint $wanted"
    mv "$key.part" "$key"
    rpm ${RPM_ROOT:+--root "$RPM_ROOT"} --import "$key"
}

main "$@"
