#!/usr/bin/env bash
# Put what was uploaded to /tmp/envctl where the steps expect it, and write down what this node should be.
# Argument: the guest. Every NODE_*, CNI_* and K8S_* in the environment overrides the guest's own settings.
set -euo pipefail

guest=${1:?which guest}
home=/usr/local/lib/envctl
uploaded=${2:-/tmp/envctl}
if [[ -f "$uploaded.tar" ]]; then
    mkdir -p "$uploaded"
    tar -xf "$uploaded.tar" -C "$uploaded"
    rm "$uploaded.tar"
fi
install -d "$home" /etc/envctl
rm -rf "$home/steps" "$home/guest" "$home/wheels" "$home/kubernetes" "$home/stamp"
cp -r "$uploaded/provision/steps" "$uploaded/provision/kubernetes" "$home/"
cp -r "$uploaded/provision/$guest" "$home/guest"
cp "$uploaded/provision/lock.json" "$home/"
cp -r "$uploaded/wheels" "$home/wheels"
if [[ -d "$uploaded/bundle" ]]; then
    install -d "$home/bundle"
    mv -f "$uploaded"/bundle/* "$home/bundle/"
fi
chmod +x "$home"/steps/*.sh
rm -rf "$uploaded"
{
    cat "$home/guest/guest.env"
    env | grep -E '^(NODE|CNI|K8S)_[A-Z0-9_]+=' | sed -E "s/'/'\\\\''/g; s/=(.*)/='\1'/" || true
} >/etc/envctl/node.env
