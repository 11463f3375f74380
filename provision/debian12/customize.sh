#!/usr/bin/env bash
# Runs inside the new root file system, after our files were laid over it.
set -euo pipefail

echo master >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 master\n' >/etc/hosts
printf '/dev/vda / ext4 defaults,noatime 0 1\n' >/etc/fstab
: >/etc/machine-id
rm -f /etc/ssh/ssh_host_*

useradd --create-home --shell /bin/bash vagrant
install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 600 -o vagrant -g vagrant /etc/vagrant.pub /home/vagrant/.ssh/authorized_keys
rm /etc/vagrant.pub

systemctl enable ssh containerd kubelet
# etcd's package is here for the image that is made of it; kubeadm runs it as a pod.
systemctl disable etcd 2>/dev/null || true
rm -rf /var/lib/etcd
systemctl mask etcd.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer man-db.timer dpkg-db-backup.timer
# The root disk is small and short-lived: no swap anywhere, a journal that outlives a reboot.
install -d /var/log/journal

# The ram disk finds /dev/vda and nothing else: an emulated machine loads what it does not need for ten seconds a boot.
printf 'virtio_pci\nvirtio_blk\next4\n' >>/etc/initramfs-tools/modules
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
update-initramfs -u -k all

install -d /opt/cni/bin /etc/cni/net.d
for plugin in /usr/lib/cni/*; do
    ln -s "$plugin" "/opt/cni/bin/${plugin##*/}"
done
