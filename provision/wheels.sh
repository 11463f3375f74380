#!/usr/bin/env bash
# The plugin and what it needs as wheels in build/wheels, so that a guest needs no network to install it.
set -euo pipefail
cd "$(dirname "$0")/.."

sum=(sha256sum)
command -v sha256sum >/dev/null || sum=(shasum -a 256)

files() {
    find plugin -name build -prune -o -name '*.egg-info' -prune -o -type f \
        \( -name '*.py' -o -name '*.toml' -o -path '*/shim/*' -o -path '*/systemd/*' -o -path '*/conf/*' \) -print0
    [[ ! -x build/shim/brdhcp ]] || printf 'build/shim/brdhcp\0'
}

stamp=$(files | sort -z | xargs -0 "${sum[@]}" | "${sum[@]}" | cut -d' ' -f1)
[[ "$(cat build/wheels/stamp 2>/dev/null)" == "$stamp" ]] && exit 0

python=python3
[[ -x .venv/bin/python ]] && python=.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r plugin "$work/plugin"
rm -rf "$work/plugin/build"
"$python" -m pip wheel --quiet --disable-pip-version-check --wheel-dir "$work/wheels" "$work/plugin"
mkdir -p "$work/wheels/plugin"
for part in shim systemd conf; do
    [[ -d plugin/$part ]] && cp -r "plugin/$part" "$work/wheels/plugin/"
done
[[ ! -x build/shim/brdhcp ]] || cp build/shim/brdhcp "$work/wheels/plugin/shim/brdhcp.compiled"
echo "$stamp" >"$work/wheels/stamp"
mkdir -p build
rm -rf build/wheels
mv "$work/wheels" build/wheels
