#!/usr/bin/env bash
# What a guest is provisioned with, as one file: build/guest.tar. Vagrant takes seconds for each file that it sends.
set -euo pipefail
cd "$(dirname "$0")/.."

provision/wheels.sh
guests=(provision/*/guest.env)
COPYFILE_DISABLE=1 tar -cf build/guest.tar.new --exclude root \
    provision/steps provision/kubernetes provision/lock.json "${guests[@]%/guest.env}" -C build wheels
mv build/guest.tar.new build/guest.tar
