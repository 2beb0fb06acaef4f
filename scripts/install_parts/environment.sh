# shellcheck shell=bash
# One version in a folder of its own: a virtual environment, and in its share/ all that belongs to it.
#
# The folder's name is made from everything that goes into it, so the same version is never made twice, and
# two that differ never share a folder. `complete` is its last file: without it the folder is thrown away.

# Where the board's own files are read: elsewhere in tests.
board=${GATEWAY_BOARD_ROOT:-}

find_python() {
    local candidate candidates=(python3.13 python3.12 python3.11 python3.10 python3)
    if [[ -n $python ]]; then candidates=("$python"); fi
    for candidate in "${candidates[@]}"; do
        candidate=$(command -v "$candidate") || continue
        if suits "$candidate"; then
            python=$candidate
            return
        fi
    done
    if [[ -n $python ]]; then lacking "$python will not do: ${unsuited:-it is not there}"; fi
    lacking "no Python 3.10 to 3.13 that will do${unsuited:+ ($unsuited)}. apt-get install python3-venv, or --python PATH"
}

# suits PYTHON: says in `unsuited` why not.
suits() {
    local facts prefix
    if ! facts=$("$1" -c 'import sys; print("%d %d" % sys.version_info[:2], sys.base_prefix)' 2>/dev/null); then
        unsuited="$1 does not run"
        return 1
    fi
    read -r major minor prefix <<<"$facts"
    if ((major != 3 || minor < 10 || minor > 13)); then
        unsuited="$1 is Python $major.$minor"
    elif ! "$1" -c 'import ensurepip, ssl, venv' 2>/dev/null; then
        unsuited="$1 has no venv: apt-get install python$major.$minor-venv"
    elif [[ $(readlink -f "$1")/ =~ ^/(root|home|run/user)/ || $prefix/ =~ ^/(root|home|run/user)/ ]]; then
        unsuited="$1 lies in somebody's home, which the service does not see"
    else
        return 0
    fi
    return 1
}

# describe: sets `version` and `name`, the folder's name below $home/venvs.
describe() {
    local wheel
    if [[ -n $wheels ]]; then
        wheel=$(find "$wheels" -maxdepth 1 -name 'jetson_gateway-*.whl' | sort -V | tail -n 1)
        [[ -n $wheel ]] || fail 3 "no jetson_gateway-*.whl in $wheels: pip wheel --wheel-dir $wheels $tree"
        version=$(basename "$wheel" | cut -d- -f2)
    else
        [[ -r $tree/gateway/operations/build.py ]] || lacking "$tree is no checkout, and no --wheels was given"
        version=$(sed -n 's/^VERSION.*"\(.*\)"$/\1/p' "$tree/gateway/operations/build.py")
    fi
    name=$version-$(fingerprint | sha256sum | cut -c1-12)
}

fingerprint() {
    interpreter
    echo "$extras"
    local parts=(models config/gateway.yaml deploy scripts/install scripts/install_parts docs/install.md)
    if [[ -n $wheels ]]; then (cd "$wheels" && sha256sum -- *.whl); else parts+=(gateway setup.cfg); fi
    cd "$tree"
    find "${parts[@]}" -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
}

# make_environment: makes $home/venvs/$name unless it is there.
make_environment() {
    local folder=$home/venvs/$name
    if [[ -e $folder/complete ]]; then
        say "$folder is there already"
        return
    fi
    say "making $folder with $python"
    if [[ -n $dry ]]; then
        echo "would run: $python -m venv $folder; pip install jetson-gateway $version ${wheels:+from $wheels}"
        return
    fi
    rm -rf "$folder"
    mkdir -p "$home/venvs"
    trap 'rm -rf "$home/venvs/$name" "${scratch:-}"' EXIT
    begin_environment "$folder"
    fill_environment "$folder"
    # On every core; the service may write nothing there. Files that no Python reads as such do not matter.
    "$folder/bin/python" -m compileall -q -j 0 "$folder/lib" >/dev/null || true
    lay_share "$folder/share/gateway"
    interpreter >"$folder/made-with"
    "$folder/bin/gateway" version >/dev/null || fail 1 "what was installed does not start: $folder/bin/gateway version"
    touch "$folder/complete"
    sync -f "$folder" 2>/dev/null || sync
    trap - EXIT
    rm -rf "${scratch:-}"
}

interpreter() { "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; }

# begin_environment FOLDER: an empty one, or for an upgrade one with the packages of what runs now, as hard
# links: pip then replaces what is new and leaves the rest, which saves minutes and a quarter of a gigabyte on a
# small board. pip never writes into a file that is there; it unlinks it first.
begin_environment() {
    local packages begin=("$python" -m venv)
    packages=$(echo "$home"/current/lib/python3.*/site-packages)
    if [[ -d $packages ]] && interpreter | cmp -s - "$home/current/made-with"; then
        "${begin[@]}" --without-pip "$1"
        rm -rf "$1/lib/$(basename "$(dirname "$packages")")/site-packages"
        cp -al "$packages" "$1/lib/$(basename "$(dirname "$packages")")/site-packages"
    else
        "${begin[@]}" "$1" || fail 1 "no virtual environment could be made"
    fi
}

fill_environment() {
    local pip=("$1/bin/python" -m pip --disable-pip-version-check --no-input --quiet install --no-compile)
    local what
    if [[ -n $wheels ]]; then
        # The newest of each that lies there, whatever an upgrade began with.
        what=(--no-index --find-links "$wheels" --upgrade --upgrade-strategy eager "jetson-gateway${extras:+[$extras]}==$version")
    else
        # A copy, because setuptools leaves things in the tree from which it builds.
        scratch=$(mktemp -d)
        cp -r "$tree"/{gateway,setup.cfg,pyproject.toml,README.md,LICENSE} "$scratch/"
        what=("$scratch${extras:+[$extras]}")
    fi
    "${pip[@]}" "${what[@]}" || fail 1 "pip could not install it; nothing that runs was touched"
}

# lay_share FOLDER: models, units, default configuration, and this installer, so that --rollback and
# --uninstall need no checkout, and a rollback takes all of it back.
lay_share() {
    mkdir -p "$1/config" "$1/docs" "$1/scripts"
    cp -r "$tree/models" "$tree/deploy" "$1/"
    cp "$tree/config/gateway.yaml" "$1/config/"
    cp "$tree/docs/install.md" "$1/docs/"
    cp -r "$tree/scripts/install" "$tree/scripts/install_parts" "$1/scripts/"
    chmod -R u+rwX,go+rX,go-w "$1"
}
