#!/usr/bin/env bash
# Runs in a chroot of the new root file system: containerd without its CRI half takes in every archive.
set -euo pipefail

cat >/tmp/containerd.toml <<'CONFIG'
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
CONFIG
containerd --config /tmp/containerd.toml --log-level warn &
daemon=$!
until ctr version >/dev/null 2>&1; do
    kill -0 "$daemon"
    sleep 0.1
done
for archive in /tmp/images/*.tar; do
    ctr --namespace k8s.io images import "$archive"
done
kill "$daemon"
wait "$daemon" || true
rm /tmp/containerd.toml
