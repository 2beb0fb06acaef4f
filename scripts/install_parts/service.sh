# shellcheck shell=bash
# From one version to another: laid down, switched to, started, and taken back if it does not become ready.

install_gateway() {
    find_python
    describe
    local before
    before=$(current_name)
    make_environment
    check_configuration
    # Only what is new starts anything: a second run with the same version changes and restarts nothing.
    if [[ $gpu != auto ]]; then remember_gpu; fi
    local share=$home/venvs/$name/share/gateway
    if [[ -n $dry ]]; then share=$tree; fi
    lay_files "$share"
    if ! act runuser -u gateway -- "$home/venvs/$name/bin/python" -c 'import gateway.daemon.main, ssl'; then
        fail 1 "the user gateway cannot run $home/venvs/$name/bin/python; nothing was started"
    fi
    service_manager daemon-reload
    if [[ $before == "$name" ]]; then
        switch_on
        say "version $version is what runs here"
        return
    fi
    point_at current "$name"
    if [[ -n $before ]]; then point_at previous "$before"; fi
    if switch_on && restart_all; then
        forget_others
        say "version $version serves${before:+; --rollback goes back to $before}"
        return
    fi
    [[ -n $before ]] || fail 1 "it did not become ready: journalctl -u gateway; $etc/gateway.yaml; gateway check"
    say "version $version did not become ready; going back to $before" >&2
    go_back_to "$before"
    fail 4 "version $before serves again; why $version did not: journalctl -u gateway"
}

roll_back() {
    local before to
    before=$(current_name)
    to=$(linked_name previous)
    [[ -n $to && -e $home/venvs/$to/complete ]] || fail 1 "there is no version to go back to"
    point_at previous "$before"
    go_back_to "$to"
    say "version $to serves; a second --rollback goes to $before again"
}

# go_back_to NAME: files, link and processes of a version that served before.
go_back_to() {
    point_at current "$1"
    lay_files "$home/venvs/$1/share/gateway"
    service_manager daemon-reload
    service_manager reset-failed 'gateway*'
    restart_all || fail 1 "version $1 does not become ready either: journalctl -u gateway"
}

current_name() { linked_name current; }

linked_name() { [[ -L $home/$1 ]] && basename "$(readlink "$home/$1")" || true; }

# point_at LINK NAME: at once, also for whoever looks in between.
point_at() {
    act ln -sfn "venvs/$2" "$home/.$1"
    act mv -T "$home/.$1" "$home/$1"
}

# A new version that cannot read the configuration is not switched to.
check_configuration() {
    if [[ -n $dry || ! -e $etc/gateway.yaml ]]; then return; fi
    if [[ -e $home/shipped-gateway.yaml ]] && cmp -s "$home/shipped-gateway.yaml" "$etc/gateway.yaml"; then
        return # it is replaced by that of the new version
    fi
    if ! "$home/venvs/$name/bin/gateway" check --no-models "$etc/gateway.yaml"; then
        fail 1 "version $version refuses $etc/gateway.yaml; nothing was changed"
    fi
}

remember_gpu() {
    if [[ -n $dry ]]; then
        echo "would write: $home/gpu: $gpu"
    else
        echo "$gpu" >"$home/gpu"
    fi
}

switch_on() {
    if [[ -z $start ]]; then return; fi
    act systemctl enable --quiet gateway.service gateway.socket gateway-control.socket
    service_manager start gateway.socket gateway-control.socket || true
    if [[ $(current_name) == "$name" ]]; then service_manager start gateway.service; fi
}

# restart_all: every gateway that runs, and the first one; false if one does not become ready.
restart_all() {
    if [[ -z $start ]] || ! booted; then return; fi
    local unit others=()
    if [[ -z $dry ]]; then
        mapfile -t others < <(systemctl list-units --plain --no-legend --state=active 'gateway@*.service' | cut -d' ' -f1)
    fi
    for unit in gateway.service "${others[@]}"; do
        say "starting $unit"
        act systemctl restart "$unit" || return 1
        # Ready, and dead a moment later, is not ready.
        if [[ -z $dry ]] && ! stays_up "$unit"; then return 1; fi
        if [[ -z $dry ]]; then say "$unit says: $(systemctl show -p StatusText --value "$unit")"; fi
    done
}

stays_up() {
    local pid look
    pid=$(systemctl show -p MainPID "$1")
    for look in 1 2 3 4; do
        sleep 0.5
        if ! systemctl is-active --quiet "$1" || [[ $(systemctl show -p MainPID "$1") != "$pid" ]]; then
            say "$1 did not stay up (look $look)" >&2
            return 1
        fi
    done
}

# All but what runs and what it came from.
forget_others() {
    local folder keep
    keep=" $(current_name) $(linked_name previous) "
    for folder in "$home"/venvs/*/; do
        folder=$(basename "$folder")
        if [[ $folder != '*' && $keep != *" $folder "* ]]; then act rm -rf "$home/venvs/$folder"; fi
    done
}
