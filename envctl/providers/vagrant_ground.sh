#!/bin/bash
# The first process of a hypervisor's own namespaces (network, mounts, processes): libvirtd, its guests and their
# network exist only in here, and all of it ends with this process.
# Arguments: folder for state, name to be seen by, folder of the disks.
set -euo pipefail
state=$1 name=$2 disks=$3

ip link set lo up
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || true
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/libvirt /run/lock /run/netns
for folder in /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p "$state$folder" "$folder"
    mount --bind "$state$folder" "$folder"
done
# Guests run as root inside these namespaces only; a box below root's home is readable that way.
cat >/etc/libvirt/qemu.conf <<'CONFIG'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
CONFIG
cat >/etc/libvirt/libvirtd.conf <<'CONFIG'
unix_sock_group = "root"
auth_unix_ro = "none"
auth_unix_rw = "none"
CONFIG
mkdir -p /var/lib/libvirt/images /var/lib/libvirt/dnsmasq
mount --bind "$disks" /var/lib/libvirt/images
dbus-daemon --system --fork --nopidfile
exec -a "$name" bash -c '
    libvirtd --timeout 0 >/var/log/libvirt/libvirtd.out 2>&1 &
    while :; do wait || true; sleep infinity & wait $! || true; done'
