#!/usr/bin/env bash
# The plugin: its virtual environment from wheels that were brought along, shim, agent, network configuration.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

: "${NODE_PYTHON:=/usr/bin/python3}"
wheels=$home/wheels
conf=/etc/cni/net.d/10-$CNI_NETWORK.conf

is_done() {
    [[ "$(cat /opt/brdhcp/stamp 2>/dev/null)" == "$(cat "$wheels/stamp")" ]] || fail "the plugin of these wheels is not installed"
    [[ -x /opt/cni/bin/brdhcp && -s "$conf" ]] || fail "the shim or $conf is missing"
    systemctl is-active --quiet brdhcpd || fail "the agent does not run: journalctl -u brdhcpd"
}

# A wheel is an archive that unpacks into site-packages, and a list of commands. Doing just that takes seconds on a
# slow guest, where an installer of its own takes minutes.
install_wheels() {
    local site wheel name target
    rm -rf /opt/brdhcp
    "$NODE_PYTHON" -m venv --without-pip /opt/brdhcp
    site=$(/opt/brdhcp/bin/python3 -Ic 'import sysconfig; print(sysconfig.get_path("purelib"))')
    for wheel in "$wheels"/*.whl; do
        /opt/brdhcp/bin/python3 -Im zipfile -e "$wheel" "$site"
    done
    while IFS=' =' read -r name target; do
        printf '#!/opt/brdhcp/bin/python3 -I\nimport sys\nfrom %s import %s\nsys.exit(%s())\n' \
            "${target%:*}" "${target#*:}" "${target#*:}" >"/opt/brdhcp/bin/$name"
        chmod 755 "/opt/brdhcp/bin/$name"
    done < <(sed -n '/^\[console_scripts\]$/,/^\[/{/^[^[]/p}' "$site"/brdhcp-*.dist-info/entry_points.txt)
    # Compiled now: the agent may not write below /opt.
    /opt/brdhcp/bin/python3 -Ic 'import brdhcp.agent.main, brdhcp.ctl'
    /opt/brdhcp/bin/python3 -Im compileall -q "$site/brdhcp"
}

# The compiled shim where one came along that this machine can run, else the Python one.
install_shim() {
    local new=/opt/cni/bin/.brdhcp.new
    if ! { cp "$wheels/plugin/shim/brdhcp.compiled" $new && CNI_COMMAND=VERSION $new </dev/null >/dev/null; } 2>/dev/null; then
        # The guest's own interpreter may be older, or elsewhere: the shim runs on the one that the agent has.
        sed '1s|^#!.*|#!/opt/brdhcp/bin/python3 -IS|' "$wheels/plugin/shim/brdhcp" >$new
        chmod 755 $new
    fi
    mv $new /opt/cni/bin/brdhcp
    ln -sf brdhcp /opt/cni/bin/brdhcp-ipam
}

do_it() {
    install -d /opt/cni/bin /etc/cni/net.d
    install_wheels
    install_shim
    ln -sf /opt/brdhcp/bin/brdhcpctl /usr/local/bin/brdhcpctl
    for unit in "$wheels"/plugin/systemd/*; do
        install -m 644 "$unit" /etc/systemd/system/
    done
    systemctl daemon-reload
    systemctl enable --quiet brdhcpd brdhcp-uplink-boot
    systemctl restart brdhcpd
    if [[ -n "${CNI_CONF:-}" ]]; then
        printf '%s\n' "$CNI_CONF" >"$conf.new"
    else
        fill "$home/kubernetes/network.conf" >"$conf.new"
    fi
    mv "$conf.new" "$conf"
    # A stamp that outlived a power cut without its files would keep this step from ever being done.
    sync
    cat "$wheels/stamp" >/opt/brdhcp/stamp
    sync /opt/brdhcp /opt/brdhcp/stamp
}

main "$@"
