#!/usr/bin/env bash
# Install what this project needs and is missing: system packages (root) and the virtual environment (no root).
set -euo pipefail
cd "$(dirname "$0")/.."

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n')
missing=()
while read -r package why; do
    [[ -z "$package" || "$package" == \#* ]] && continue
    if [[ $'\n'"$installed"$'\n' != *$'\n'"installed $package"$'\n'* ]]; then
        missing+=("$package")
        echo "install: $package ($why)" >&2
    fi
done <"${PACKAGES:-provision/packages.debian}"

if ((${#missing[@]})); then
    if ((EUID)); then
        echo "install: system packages need root. Run: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    if [[ -n "${QUIET_SERVICES:-}" && ! -e /usr/sbin/policy-rc.d ]]; then
        # DHCP servers for tests are installed, not started: they would answer on this machine's own network.
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
fi

# The stamp names everything that the environment was made from; another content makes it anew.
stamp=$(cat pyproject.toml plugin/pyproject.toml provision/install.sh | sha256sum | cut -d' ' -f1)
if [[ ! -x .venv/bin/python || "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]]; then
    python=python3
    [[ -x /usr/bin/python3 ]] && /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' && python=/usr/bin/python3
    echo "install: virtual environment .venv ($("$python" --version))" >&2
    "$python" -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -e ./plugin -e '.[dev]'
    echo "$stamp" >.venv/stamp
fi

# Compiled, the shim starts ten times faster; without a compiler its Python twin does the same.
if [[ plugin/shim/brdhcp.c -nt build/shim/brdhcp ]] && command -v cc >/dev/null; then
    mkdir -p build/shim
    if cc -std=c11 -Os -static -o build/shim/brdhcp.new plugin/shim/brdhcp.c; then
        mv build/shim/brdhcp.new build/shim/brdhcp
    else
        echo "install: the compiled shim could not be made (package libc6-dev?); the Python one is used" >&2
    fi
fi
