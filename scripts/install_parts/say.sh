# shellcheck shell=bash
# Words of the installer, and the one way in which it changes anything: done, or only said with --dry-run.

home=/opt/gateway

say() { echo "install: $*"; }

# fail CODE WORDS...
fail() {
    local code=$1
    shift
    echo "install: $*" >&2
    exit "$code"
}

lacking() { fail 3 "$@"; }

# act COMMAND...: run it, or say that it would be run.
act() {
    if [[ -n $dry ]]; then
        printf 'would run:'
        printf ' %q' "$@"
        echo
    else
        "$@"
    fi
}

# systemd answers only where it is process 1: not while an image is made.
booted() { [[ -d /run/systemd/system ]]; }

service_manager() {
    if booted; then act systemctl "$@"; fi
}

systemd_version() {
    local said
    said=$(systemctl --version) || said=''
    [[ $said =~ ^systemd\ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0
}
