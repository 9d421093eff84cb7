#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by "meson install": the libraries for other series of QEMU, which
# scripts/setup --qemu has put beside ours, go to FOLDER below the prefix.
# usage: scripts/install-series.sh FOLDER

set -eu
folder=$MESON_INSTALL_DESTDIR_PREFIX/$1
for library in "$MESON_BUILD_ROOT"/pviommu/*.so; do
    [ -e "$folder/$(basename "$library")" ] ||
        install -m 755 "$library" "$folder"
done
