#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by "meson install": the libraries for other series of QEMU, which
# scripts/setup --qemu has put beside OURS, go to FOLDER below the prefix.
# usage: scripts/install-series.sh FOLDER OURS

set -eu
folder=$MESON_INSTALL_DESTDIR_PREFIX/$1
for library in "$MESON_BUILD_ROOT"/pviommu/*.so; do
    [ "$(basename "$library")" = "$2" ] ||
        install -m 755 "$library" "$folder"
done
