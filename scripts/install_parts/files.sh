# shellcheck shell=bash
# Units, drop-ins, users and configuration of one version: laid down so that doing it again changes nothing.

units=/usr/local/lib/systemd/system
sysusers=/usr/local/lib/sysusers.d
tmpfiles=/usr/local/lib/tmpfiles.d
etc=/etc/gateway
command_link=/usr/local/bin/gateway
broker_file=/etc/mosquitto/conf.d/gateway.conf
unit_names=(gateway.service gateway@.service gateway.socket gateway@.socket gateway-control.socket
    gateway-control@.socket gateway-diagnostics.service gateway-diagnostics@.service)

# put SOURCE TARGET MODE: a file with this content; nothing happens if it is there. What a version does not
# have (an older one, after a rollback) goes.
put() {
    if [[ ! -e $1 ]]; then
        if [[ -e $2 ]]; then act rm -f "$2"; fi
        return
    fi
    if cmp -s "$1" "$2" && [[ $(stat -c %a "$2") == "$3" ]]; then return; fi
    say "$2"
    act install -D -m "$3" "$1" "$2"
}

# lay_files SHARE: what the version in SHARE (deploy/, config/) brings outside of its own folder.
lay_files() {
    local from=$1/deploy/systemd name
    for name in "${unit_names[@]}"; do
        put "$from/$name" "$units/$name" 644
    done
    lay_drop_ins "$from"
    put "$from/sysusers.d/gateway.conf" "$sysusers/gateway.conf" 644
    put "$from/tmpfiles.d/gateway.conf" "$tmpfiles/gateway.conf" 644
    make_user
    act systemd-tmpfiles --create "$tmpfiles/gateway.conf"
    lay_configuration "$1/config/gateway.yaml"
    if [[ -n $mosquitto || (-e $broker_file && -e $home/broker) ]]; then lay_broker "$1"; fi
    if [[ $(readlink "$command_link" || true) != "$home/current/bin/gateway" ]]; then
        [[ ! -e $command_link || -L $command_link ]] || fail 1 "$command_link is in the way, and not ours"
        act mkdir -p "${command_link%/*}"
        act ln -sfn "$home/current/bin/gateway" "$command_link"
    fi
}

# Which drop-ins this machine wants; the others of ours go.
lay_drop_ins() {
    local from=$1/drop-ins version name unit wanted=()
    version=$(systemd_version)
    for name in 239 253 254; do
        if ((version >= name)); then wanted+=("systemd-$name"); fi
    done
    if wants_gpu; then
        wanted+=(gpu)
        if ! getent group render >/dev/null; then wanted+=(gpu-video-only); fi
    fi
    if has_cortex_a57; then wanted+=(cortex-a57); fi
    for unit in gateway.service gateway@.service; do
        for name in systemd-239 systemd-253 systemd-254 gpu gpu-video-only cortex-a57; do
            if [[ " ${wanted[*]} " == *" $name "* ]]; then
                put "$from/$name.conf" "$units/$unit.d/$name.conf" 644
            elif [[ -e $units/$unit.d/$name.conf ]]; then
                act rm -f "$units/$unit.d/$name.conf"
            fi
        done
    done
}

# What was said once holds for the next time too: --gpu, --no-gpu, else what the board says of itself.
wants_gpu() {
    local said=$gpu
    if [[ $said == auto && -r $home/gpu ]]; then said=$(<"$home/gpu"); fi
    if [[ $said != auto ]]; then
        [[ $said == yes ]]
        return
    fi
    [[ -e $board/etc/nv_tegra_release || -e $board/dev/nvidia0 || -e $board/dev/nvhost-ctrl ]] ||
        grep -qa 'nvidia,tegra' "$board/proc/device-tree/compatible" 2>/dev/null
}

has_cortex_a57() { grep -qiE '^CPU part[[:space:]]*: 0xd07' "$board/proc/cpuinfo" 2>/dev/null; }

# The account is removed with the rest only if it was made here.
make_user() {
    if getent passwd gateway >/dev/null; then return; fi
    say "the user gateway"
    act systemd-sysusers "$sysusers/gateway.conf"
    act touch "$home/made-user"
}

# The configuration: new, or as shipped with an older version, or else left alone.
lay_configuration() {
    local shipped=$home/shipped-gateway.yaml new owner=(-o root -g gateway)
    new=$(mktemp)
    sed "s#path: \.\./models/#path: $home/current/share/gateway/models/#" "$1" >"$new"
    if [[ ! -e $etc/gateway.yaml ]] || { [[ -e $shipped ]] && cmp -s "$shipped" "$etc/gateway.yaml"; }; then
        if ! cmp -s "$new" "$etc/gateway.yaml"; then
            say "$etc/gateway.yaml"
            act install -m 640 "${owner[@]}" "$new" "$etc/gateway.yaml"
        fi
        if [[ -e $etc/gateway.yaml.new ]]; then act rm -f "$etc/gateway.yaml.new"; fi
    elif ! cmp -s "$new" "$shipped" && ! cmp -s "$new" "$etc/gateway.yaml"; then
        say "$etc/gateway.yaml was changed here and stays; the shipped one is now $etc/gateway.yaml.new"
        act install -m 640 "${owner[@]}" "$new" "$etc/gateway.yaml.new"
    fi
    if ! cmp -s "$new" "$shipped"; then act install -m 644 "$new" "$shipped"; fi
    rm -f "$new"
}

lay_broker() {
    [[ -d /etc/mosquitto/conf.d ]] || lacking "there is no mosquitto here: apt-get install mosquitto"
    if cmp -s "$1/deploy/mosquitto/gateway.conf" "$broker_file"; then return; fi
    if [[ -e $broker_file && ! -e $home/broker ]]; then fail 1 "$broker_file is in the way, and not ours"; fi
    act touch "$home/broker"
    put "$1/deploy/mosquitto/gateway.conf" "$broker_file" 644
    # Whoever asks for the broker wants it to run; otherwise one that was stopped stays so.
    if [[ -n $mosquitto ]]; then
        service_manager restart mosquitto.service
    else
        service_manager try-restart mosquitto.service
    fi
}

# A further gateway on this machine.
add_instance() {
    local file=$etc/$instance/gateway.yaml unit=gateway@$instance made
    [[ -L $home/current || -n $dry ]] || lacking "the gateway is not installed yet: $0"
    made=$(mktemp)
    # Two gateways of one name would push each other off the broker.
    sed -E "0,/^  id: .*/s//  id: \"$instance\"/" "$home/shipped-gateway.yaml" >"$made" 2>/dev/null || true
    # As far from the HTTP port as the first gateway's: 8080 and 8001.
    local rpc=unix:/run/$unit/grpc
    if [[ -n $port ]]; then
        sed -i -E "s/^  listen: .*/  listen: 127.0.0.1:$port/" "$made"
        if ((10#$port > 79)); then rpc=127.0.0.1:$((10#$port - 79)); fi
    fi
    sed -i -E "s|^    listen: 127.0.0.1:8001$|    listen: $rpc|" "$made"
    if [[ -e $file ]]; then
        say "$file is there and stays"
    else
        act install -d -m 750 -o root -g gateway "$etc/$instance"
        act install -m 640 -o root -g gateway "$made" "$file"
    fi
    if [[ -n $port ]]; then
        printf '[Socket]\nListenStream=127.0.0.1:%s\n' "$port" >"$made"
        put "$made" "/etc/systemd/system/$unit.socket.d/port.conf" 644
    fi
    rm -f "$made"
    service_manager daemon-reload
    if [[ -z $start ]]; then return; fi
    act systemctl enable --quiet "$unit.service" "gateway-control@$instance.socket"
    if [[ -n $port ]]; then service_manager enable --quiet --now "$unit.socket"; fi
    if ! service_manager start "$unit.service"; then fail 1 "$unit did not start: journalctl -u $unit"; fi
    say "$unit is there: $file, journalctl -u $unit"
}
