# SPDX-License-Identifier: GPL-2.0-or-later
"""What pviommu-check is made of: what is asked for (machine), what the host has
(host), and what of that does not fit (judge)."""
