# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines, guests and their kernels, as the guest tests, the lab and the
demo use them.  Standard library only, but for QMP, which comes from the
python/ folder of QEMU's own source."""
