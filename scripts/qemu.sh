# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Sources, headers and emulators of QEMU, in the cache.
# Sourced after common.sh; what fetches needs apt.sh as well.

SERIES=(10.0 10.1 10.2 11.0 11.1)
CONFIGURE=(--python=/usr/bin/python3
    --target-list=x86_64-softmmu,aarch64-softmmu --disable-docs
    --disable-download --disable-install-blobs)
# For headers, and for an emulator that loads plugins, exports its symbols, and
# has the devices and networks of the tests
FOR_HEADERS=(--disable-tools --disable-guest-agent)
FOR_EMULATOR=(--without-default-features --enable-system --enable-tcg
    --enable-kvm --enable-plugins --enable-modules --enable-fdt
    --enable-slirp --enable-vhost-user --enable-vhost-kernel
    --enable-vhost-net --enable-virtfs --enable-attr)
# What that takes beyond scripts/setup
EMULATOR_NEEDS=(libslirp-dev)
# What an emulator needs beside itself where it is not installed
FIRMWARE=(seabios ipxe-qemu)

# is_known_series SERIES
is_known_series() {
    [[ $1 != *[[:space:]]* && " ${SERIES[*]} " == *" $1 "* ]]
}

# upstream_of PACKAGE_VERSION: such as 10.0.2+ds
upstream_of() {
    local upstream=${1#*:}
    echo "${upstream%-*}"
}

# cached_source PACKAGE_VERSION: where its source is or will be
cached_source() {
    echo "$PVIOMMU_CACHE/qemu/$(upstream_of "$1")/src"
}

# get_source PACKAGE_VERSION: its source into the cache; fails if the mirror
# does not serve it
get_source() {
    local folder work
    folder=$(cached_source "$1")
    [ ! -e "$folder/VERSION" ] || return 0

    mkdir -p "$(dirname "$folder")"
    # what one left that was killed, or found the disk full
    rm -rf "$(dirname "$folder")"/fetch.*
    work=$(mktemp -d "$(dirname "$folder")/fetch.XXXXXX")
    if ! (cd "$work" && fetch_source "$1"); then
        rm -rf "$(dirname "$folder")"
        return 1
    fi
    # two thirds of it are the source of firmware
    step "unpacking QEMU $(upstream_of "$1")" \
        tar -C "$work" --exclude='*/roms' -xf "$work"/qemu_*.orig.tar.xz
    # whole or not there at all
    rm -rf "$folder"
    mv "$work"/*/ "$folder"
    rm -rf "$work"
}

# build_folder SOURCE OPTION...: in the cache, for that source and options
build_folder() {
    local source=$1 key
    shift
    key=$(printf '%s\n' "$source" "$(cat "$source/VERSION")" "$@" |
        sha256sum | cut -c 1-8)
    case $source in
    "$PVIOMMU_CACHE"/*) echo "$(dirname "$source")/build-$key" ;;
    *) echo "$PVIOMMU_CACHE/qemu/$(cat "$source/VERSION")-own/build-$key" ;;
    esac
}

# configure_qemu SOURCE BUILD OPTION...: unless it was done before
configure_qemu() {
    local source=$1 build=$2 f
    shift 2
    [ ! -e "$build/.pviommu-configured" ] || return 0
    # Debian leaves these out of the tarball, and configure insists
    for f in $(sed -n "s/^ *'\(edk2-[^']*\.fd\)',/\1/p" \
        "$source/pc-bios/meson.build"); do
        if [ -w "$source/pc-bios" ] && [ ! -e "$source/pc-bios/$f.bz2" ]; then
            : > "$source/pc-bios/$f.bz2"
        fi
    done
    rm -rf "$build"
    mkdir -p "$build"
    step "configuring QEMU $(cat "$source/VERSION")" \
        env -C "$build" "$source/configure" "$@"
    touch "$build/.pviommu-configured"
}

# make_headers SOURCE BUILD: what is needed of a build tree here
make_headers() {
    configure_qemu "$1" "$2" "${CONFIGURE[@]}" "${FOR_HEADERS[@]}"
    [ ! -e "$2/.pviommu-headers" ] || return 0
    step "generating QEMU's headers" generate_headers "$2"
    touch "$2/.pviommu-headers"
}

generate_headers() {
    # shellcheck disable=SC2046
    ninja -C "$1" $(ninja -C "$1" -t targets all |
        sed -n 's/^\([^:]*\.h\): CUSTOM_COMMAND$/\1/p')
}

# write_wrapper FILE COMMAND...: how an emulator that is not installed is run
write_wrapper() {
    local file=$1
    shift
    cat > "$file" << EOF2
#!/bin/sh
# An emulator that is not installed: where it is, and what it needs
here=\$(dirname "\$(realpath "\$0")")
$* "\$@"
EOF2
    chmod +x "$file"
}

# debian_emulator PACKAGE_VERSION: unpack the binaries with all that they
# need into the cache, and print the folder; others are as they were
debian_emulator() {
    local folder=$PVIOMMU_CACHE/emulator/${1#*:} work target lib
    lib=usr/lib/$(uname -m)-linux-gnu
    if [ ! -e "$folder/qemu-system-x86_64" ]; then
        mkdir -p "$PVIOMMU_CACHE/emulator"
        rm -rf "$PVIOMMU_CACHE"/emulator/fetch.*
        work=$(mktemp -d "$PVIOMMU_CACHE/emulator/fetch.XXXXXX")
        mkdir -p "$work/root"
        step "fetching the emulators of QEMU $1" \
            fetch_with_all "$work" "qemu-system-x86=$1" \
            "qemu-system-arm=$1" "qemu-system-common=$1" \
            "qemu-system-data=$1" "${FIRMWARE[@]}"
        step "unpacking the emulators of QEMU $1" \
            unpack_all "$work/root" "$work"/debs/*.deb
        for target in x86_64 aarch64; do
            write_wrapper "$work/qemu-system-$target" \
                "QEMU_MODULE_DIR=\${QEMU_MODULE_DIR:-\$here/root/$lib/qemu}" \
                "exec \$here/root/$(loader "$work/root")" \
                "--argv0 \"\$0\" --library-path \$here/root/$lib" \
                "\$here/root/usr/bin/qemu-system-$target" \
                "-L \$here/root/usr/share/qemu" \
                "-L \$here/root/usr/share/seabios" \
                "-L \$here/root/usr/lib/ipxe/qemu"
        done
        rm -rf "$work/debs" "$work/status" "$folder"
        mv "$work" "$folder"
    fi
    echo "$folder"
}

unpack_all() {
    local root=$1 deb
    shift
    for deb in "$@"; do
        echo "$(basename "$deb")"
        dpkg-deb -x "$deb" "$root"
    done
}

# loader ROOT: its dynamic linker, as a path in it
loader() {
    (cd "$1" && find usr/lib* -name 'ld-linux-*.so.*' | sort | head -n 1)
}

# own_emulator SOURCE: build emulators from it, print the folder
own_emulator() {
    local build folder target
    build=$(build_folder "$1" "${CONFIGURE[@]}" "${FOR_EMULATOR[@]}")
    folder=$build/pviommu
    if [ ! -e "$folder/qemu-system-x86_64" ]; then
        configure_qemu "$1" "$build" "${CONFIGURE[@]}" "${FOR_EMULATOR[@]}"
        step "building emulators of QEMU $(cat "$1/VERSION")" \
            ninja -C "$build" qemu-system-x86_64 qemu-system-aarch64 modules
        mkdir -p "$folder"
        for target in aarch64 x86_64; do
            # a distribution's source has no firmware
            write_wrapper "$folder/qemu-system-$target" \
                "exec \$here/../qemu-system-$target -L /usr/share/qemu" \
                "-L /usr/share/seabios -L /usr/lib/ipxe/qemu"
        done
    fi
    echo "$folder"
}
