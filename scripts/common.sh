# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts share: messages, the cache, steps that take long.
# Sourced by bash, with ROOT set to the top of the checkout.

: "${ROOT:?}"

# Built things of this checkout, and what outlives checkouts
export PVIOMMU_BUILD=${PVIOMMU_BUILD:-$ROOT/build}
export PVIOMMU_CACHE=${PVIOMMU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pviommu}
PVIOMMU_BUILD=$(realpath -m "$PVIOMMU_BUILD")
PVIOMMU_CACHE=$(realpath -m "$PVIOMMU_CACHE")
LOGS=$PVIOMMU_BUILD/logs

say() {
    printf 'pviommu: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

# Nothing stops without a word
set -E
trap 'say "stopped by: $BASH_COMMAND (${BASH_SOURCE[0]##*/}:$LINENO)"' ERR

# clean_up FOLDER: at the exit of a script that fetches and builds. What was
# FETCHED and does not build is no lack of this machine: status 3.
clean_up() {
    local status=$?
    rm -rf "$1"
    [ "$status" = 0 ] || [ -z "${FETCHED-}" ] || exit 3
}

# step TEXT COMMAND...: run it with its output in a log, and say every ten
# seconds how far it is. Where it fails, the end of the log is shown.
step() {
    try_step "$@" || {
        tail -n 30 "$(log_of "$1")" | cut -c 1-300 >&2
        die "failed: $1 (all of its output: $(log_of "$1"))"
    }
}

# log_of TEXT: where the output of a step goes
log_of() {
    echo "$LOGS/$(printf '%s' "$1" | tr -cs 'A-Za-z0-9.\n' '-').log"
}

# try_step TEXT COMMAND...: as step, for one that may fail
try_step() {
    local text=$1 log pid start last elapsed
    shift
    mkdir -p "$LOGS"
    log=$(log_of "$text")
    start=$SECONDS
    last=$start
    say "$text"
    "$@" > "$log" 2>&1 < /dev/null &
    pid=$!
    # A background job of a script does not see the interrupt key. Who called
    # must see more than a step that failed, and end as well.
    trap 'kill "$pid" 2> /dev/null; trap - INT; kill -INT "$BASHPID"' INT TERM
    while kill -0 "$pid" 2> /dev/null; do
        sleep 0.2
        if ((SECONDS - last >= 10)); then
            last=$SECONDS
            say "  ... $((SECONDS - start)) s: $(tail -c 300 "$log" |
                tr '\r' '\n' | awk 'NF { l = $0 } END { print l }' |
                cut -c 1-100)"
        fi
    done
    if ! wait "$pid"; then
        trap - INT TERM
        return 1
    fi
    trap - INT TERM
    elapsed=$((SECONDS - start))
    ((elapsed < 5)) || say "  done in $elapsed s"
}

# as_root COMMAND...: directly as root, else through sudo
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo -E "$@"
    else
        die "need root or sudo for: $*"
    fi
}

# hold_lock FILE: until this script ends, or holds another. One set-up at a time
# fills a cache.
hold_lock() {
    mkdir -p "$(dirname "$1")"
    exec 9> "$1"
    if ! flock -n 9; then
        say "waiting for another set-up to finish ($1)"
        flock 9
    fi
}

# qemu_version BINARY: such as 10.0.2
qemu_version() {
    { "$1" --version 2> /dev/null || true; } |
        sed -n '1s/.*version \([0-9][0-9.]*\).*/\1/p'
}

# series_of VERSION: such as 10.0, all that the library must match
series_of() {
    cut -d . -f 1,2 <<< "$1"
}

# What scripts/setup found: QEMU_SERIES, QEMU_SOURCE, QEMU_BUILD, QEMU_X86_64
# and QEMU_AARCH64, and the names that the tests know them by
load_setup() {
    # shellcheck disable=SC1091
    . "$PVIOMMU_BUILD/setup.env"
    export QEMU_SERIES QEMU_SOURCE QEMU_BUILD QEMU_X86_64 QEMU_AARCH64
    export PVIOMMU_QEMU_SOURCE=$QEMU_SOURCE PVIOMMU_QEMU_BUILD=$QEMU_BUILD
    export PVIOMMU_QEMU=${PVIOMMU_QEMU:-$QEMU_X86_64}
    export PVIOMMU_QEMU_AARCH64=${PVIOMMU_QEMU_AARCH64:-$QEMU_AARCH64}
    [ "$PVIOMMU_QEMU" = "$QEMU_X86_64" ] ||
        say "guests run in another QEMU, by PVIOMMU_QEMU: $PVIOMMU_QEMU"
}
