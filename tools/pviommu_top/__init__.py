# SPDX-License-Identifier: GPL-2.0-or-later
"""What pviommu-top is made of: ask (monitor), draw (text), show (screen)."""
