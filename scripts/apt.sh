# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Packages and sources from the mirror that the machine's apt uses, through
# lists of our own: its sources are read and never changed.
# Sourced after common.sh.

APT_DIR=$PVIOMMU_CACHE/apt
# another architecture than the machine's, with an APT_DIR of its own
APT_ARCH=''
PACKAGES=(build-essential clang libclang-rt-dev ninja-build pkgconf perl
    python3 python3-venv libglib2.0-dev libpixman-1-dev libfdt-dev zlib1g-dev
    xz-utils busybox-static cpio device-tree-compiler)
# in backports on Debian 12: QEMU 10.0 and what configuring it needs
NEWER=(meson python3-pycotap)
EMULATORS=(qemu-system-x86 qemu-system-arm qemu-utils)

debian_codename() {
    # shellcheck disable=SC1091
    (. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME")
}

# the version of a package that is installed, nothing if it is not
installed_version() {
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2> /dev/null |
        sed -n 's/^installed //p' || true
}

# The machine's own Debian archives, as "site suite" lines; apt reads both
# formats of its sources, so they need not be parsed here
machine_archives() {
    apt-get indextargets --no-release-info --format \
        '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk -v name="$1" '
            $3 == "main" && ($2 == name || $2 == name "-updates" ||
                $2 == name "-security" || $2 == "stable" ||
                $2 == "stable-updates" || $2 == "stable-security" ||
                $2 == "oldstable" || $2 == "oldstable-updates" ||
                $2 == "oldstable-security") { print $1, $2 }' | sort -u
}

# machine_site CODENAME: the mirror that its packages come from
machine_site() {
    machine_archives "$1" | awk '$2 !~ /-/ { print $1; exit }'
}

# list_suite SITE SUITE TYPE...: lines of a sources list
list_suite() {
    local site=$1 suite=$2 key='' type
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 2
    [ ! -e "$keyring" ] || key="[signed-by=$keyring] "
    for type in "$@"; do
        echo "$type $key$site $suite main"
    done
}

# write_list: our sources list, from the lines read
write_list() {
    mkdir -p "$APT_DIR/lists/partial" "$APT_DIR/archives/partial"
    cat > "$APT_DIR/sources.list.new"
    mv "$APT_DIR/sources.list.new" "$APT_DIR/sources.list"
}

# private_sources CODENAME: write our sources list for it
private_sources() {
    local name=$1 site from suite types=(deb deb-src)
    # QEMU, whose source is needed, is in backports there
    [ "$name" != bookworm ] || types=(deb)
    site=$(machine_site "$name")
    [ -n "$site" ] || die "apt knows no mirror of $name main: add one to" \
        "/etc/apt/sources.list"
    {
        machine_archives "$name" | while read -r from suite; do
            list_suite "$from" "$suite" "${types[@]}"
        done
        [ "$name" != bookworm ] ||
            list_suite "$site" "$name-backports" deb deb-src
    } | write_list
}

# private TOOL ARGUMENT...: apt-get or apt-cache, with these lists
private() {
    local tool=$1
    shift
    "$tool" -q -o "Dir::Etc::SourceList=$APT_DIR/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null \
        -o "Dir::State::Lists=$APT_DIR/lists" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        ${APT_ARCH:+-o "APT::Architecture=$APT_ARCH"} \
        ${APT_ARCH:+-o "APT::Architectures=$APT_ARCH"} \
        -o APT::Sandbox::User=root "$@"
}

private_apt() {
    private apt-get "$@"
}

update_lists() {
    private_sources "$1"
    step "reading the package lists of $1" private_apt update
}

# Every suite of Debian that may hold another QEMU
SUITES=(bookworm-backports trixie trixie-updates trixie-backports forky sid)

# use_suites: lists of all of them from now on, of APT_ARCH if that is set; as
# fresh as a day old
use_suites() {
    local site suite
    site=$(machine_site "$(debian_codename)")
    [ -n "$site" ] || return 1
    APT_DIR=$PVIOMMU_CACHE/apt-suites${APT_ARCH:+-$APT_ARCH}
    [ -z "$(find "$APT_DIR/fresh" -mtime -1 2> /dev/null)" ] || return 0
    for suite in "${SUITES[@]}"; do
        list_suite "$site" "$suite" deb deb-src
    done | write_list
    try_step "reading the package lists of ${SUITES[*]}" private_apt update ||
        return 1
    # it only warns where no mirror can be reached
    [ -n "$(versions_of qemu Sources)" ] || return 1
    touch "$APT_DIR/fresh"
}

# versions_of PACKAGE KIND: that the lists have, newest first; KIND is
# Packages or Sources
versions_of() {
    private apt-cache madison "$1" |
        awk -F ' *[|] *' -v "kind=$2" '$3 ~ kind "$" { print $2 }' |
        sed 's/ *$//' | sort -rVu
}

# install_as_root ARGUMENT...: private_apt install, through sudo if need be
install_as_root() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        bash -c "$(declare -f private private_apt); APT_DIR=\$1; shift
            private_apt install -y --no-install-recommends \"\$@\"" \
        bash "$APT_DIR" "$@"
}

# install_missing CODENAME PACKAGE...: those of them that are not installed
install_missing() {
    local name=$1 package missing=() APT_DIR=$PVIOMMU_CACHE/apt
    shift
    for package in "$@"; do
        [ -n "$(installed_version "$package")" ] || missing+=("$package")
    done
    [ ${#missing[@]} != 0 ] || return 0
    update_lists "$name"
    step "installing ${missing[*]}" install_as_root "${missing[@]}"
}

# install_packages CODENAME WITH_EMULATORS: whatever is missing of the lists
install_packages() {
    local name=$1 want=("${PACKAGES[@]}") newer=("${NEWER[@]}") missing=()
    local p v target=()
    if [ "$2" = yes ]; then
        newer+=("${EMULATORS[@]}")
    fi
    for p in "${want[@]}"; do
        [ -n "$(installed_version "$p")" ] || missing+=("$p")
    done
    for p in "${newer[@]}"; do
        v=$(installed_version "$p")
        case $p in
        qemu-*) dpkg --compare-versions "$v" ge 1:10.0 || missing+=("$p") ;;
        meson) dpkg --compare-versions "$v" ge 1.5 || missing+=("$p") ;;
        *) [ -n "$v" ] || missing+=("$p") ;;
        esac
    done
    [ ${#missing[@]} != 0 ] || return 0

    update_lists "$name"
    # only what is asked for comes from backports, with what that needs
    local plain=() back=()
    for p in "${missing[@]}"; do
        case " ${newer[*]} " in
        *" $p "*) back+=("$p") ;;
        *) plain+=("$p") ;;
        esac
    done
    [ "$name" != bookworm ] || target=(-t bookworm-backports)
    if [ ${#plain[@]} != 0 ]; then
        step "installing ${plain[*]}" install_as_root "${plain[@]}"
    fi
    if [ ${#back[@]} != 0 ]; then
        step "installing ${back[*]}${target[1]:+ (${target[1]})}" \
            install_as_root "${target[@]}" "${back[@]}"
    fi
}

# unpack_packages FOLDER PACKAGE...: fetch and unpack, install nothing; the
# folder is there whole or not at all
unpack_packages() {
    local target=$1 work deb
    shift
    mkdir -p "$(dirname "$target")"
    work=$(mktemp -d "$(dirname "$target")/fetch.XXXXXX")
    (cd "$work" && step "fetching $*" private_apt download "$@")
    for deb in "$work"/*.deb; do
        step "unpacking $(basename "$deb")" \
            dpkg-deb -x "$deb" "$work/unpacked"
    done
    rm -rf "$target"
    mv "$work/unpacked" "$target"
    rm -rf "$work"
}

# fetch_with_all FOLDER ARGUMENT...: packages into FOLDER/debs, with all that
# they need where nothing is installed
fetch_with_all() {
    local folder=$1
    shift
    mkdir -p "$folder/debs/partial"
    : > "$folder/status"
    private_apt -o "Dir::Cache::archives=$folder/debs" \
        -o "Dir::State::status=$folder/status" -y --download-only \
        --no-install-recommends install "$@"
}

# fetch_source PACKAGE_VERSION: of QEMU, into the current folder; fails if the
# mirror does not serve it
fetch_source() {
    # the archive at times lacks the .dsc; the tarball is all that is needed
    try_step "fetching the source of QEMU $1" private_apt source --tar-only \
        --download-only "qemu=$1"
}
