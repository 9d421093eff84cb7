# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines, guests and their kernels, as the guest tests, the lab and the
demo use them.  Standard library only, but for QMP, which comes from the
python/ folder of QEMU's own source."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "tools"))
