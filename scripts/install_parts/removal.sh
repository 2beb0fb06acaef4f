# shellcheck shell=bash
# Takes away everything that was installed: processes, units, folders, the user; data unless it is to be kept.

remove_gateway() {
    local unit name paths=()
    if booted; then
        local running=()
        if [[ -z $dry || -e $units/gateway.service ]]; then
            mapfile -t running < <(systemctl list-units --all --plain --no-legend \
                'gateway.service' 'gateway.socket' 'gateway-control.socket' 'gateway-diagnostics.service' \
                'gateway@*' 'gateway-control@*' 'gateway-diagnostics@*' 'system-gateway*.slice' | cut -d' ' -f1)
        fi
        # Sockets first: a connection would start the service again.
        for unit in $(printf '%s\n' "${running[@]}" | grep 'socket$') $(printf '%s\n' "${running[@]}" | grep -v 'socket$'); do
            act systemctl stop "$unit" || say "$unit could not be stopped" >&2
        done
        if ((${#running[@]})); then systemctl reset-failed "${running[@]}" 2>/dev/null || true; fi
    fi
    disable_all
    for name in "${unit_names[@]}"; do paths+=("$units/$name" "$units/$name.d"); done
    # What an operator added to our units has nothing left to add to.
    paths+=(/etc/systemd/system/gateway.{service,socket}.d /etc/systemd/system/gateway-control.socket.d
        /etc/systemd/system/gateway-diagnostics.service.d /etc/systemd/system/gateway@*.d
        /etc/systemd/system/gateway-control@*.d "$sysusers/gateway.conf" "$tmpfiles/gateway.conf"
        /run/gateway /run/gateway@* /var/cache/gateway /var/cache/gateway@*)
    if [[ $(readlink "$command_link" || true) == "$home"/* ]]; then paths+=("$command_link"); fi
    if [[ -e $home/broker ]]; then paths+=("$broker_file"); fi
    if [[ -z $keep_data ]]; then paths+=("$etc" /var/lib/gateway /var/lib/gateway@*); fi
    remove_paths "${paths[@]}"
    service_manager daemon-reload
    if [[ -e $home/broker ]]; then service_manager try-restart mosquitto.service || true; fi
    remove_user
    remove_paths "$home"
    remove_empty_folders
    say "the gateway is removed${keep_data:+; configuration and state are still in $etc and /var/lib/gateway*}"
}

# Links of enabled units, whether or not systemd runs.
disable_all() {
    local link
    for link in /etc/systemd/system/*.wants/gateway{.service,.socket,-control.socket} \
        /etc/systemd/system/*.wants/gateway@*.{service,socket} /etc/systemd/system/*.wants/gateway-control@*.socket; do
        if [[ -L $link ]]; then act rm -f "$link"; fi
    done
}

remove_paths() {
    local path
    for path in "$@"; do
        if [[ -e $path || -L $path ]]; then
            say "removing $path"
            act rm -rf --one-file-system -- "$path"
        fi
    done
}

# An account that was there before stays; so does the owner of what is kept.
remove_user() {
    if [[ -n $keep_data || ! -e $home/made-user ]]; then return; fi
    if getent passwd gateway >/dev/null; then act userdel gateway; fi
    if getent group gateway >/dev/null; then act groupdel gateway; fi
}

remove_empty_folders() {
    local folder
    for folder in "$units" /usr/local/lib/systemd "$sysusers" "$tmpfiles" \
        /etc/systemd/system/{multi-user,sockets}.target.wants; do
        if [[ -d $folder ]]; then act rmdir --ignore-fail-on-non-empty "$folder"; fi
    done
}
