#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run COMMAND with what scripts/setup has found for the build in FOLDER.
# usage: scripts/with-setup.sh FOLDER COMMAND...

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PVIOMMU_BUILD=$1
unset PVIOMMU_QEMU PVIOMMU_QEMU_AARCH64
. "$ROOT/scripts/common.sh"
shift
load_setup
exec "$@"
