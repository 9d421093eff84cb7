# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that use their disk, and do all that the device is for."""

from cases import LAZY, STRICT, Cases


def run(lab, name, rows, append="", kind=Cases, **how):
    """A guest and its cases, of KIND, each ROW a name, a method and its
    words."""
    names = [f"{name}/{row[0]}" for row in rows]
    if not lab.wanted(*names):
        return
    with lab.start(name, append, **how) as running:
        cases = lab.boot(running, kind)
        for each, (_, method, *words) in zip(names, rows):
            lab.case(each, method, cases, *words)


def tables(lab, kind=Cases):
    """A case for hosts whose tables can be read."""
    return [("host-holds-what-is-mapped", kind.host_holds)] \
        if lab.shows_tables else []


def lazy(lab, **how):
    """The distribution's default: lazy invalidation."""
    run(lab, "lazy", [
        ("type", Cases.type_is, LAZY),
        ("read-equals-image", Cases.read),
        ("write-reaches-image", Cases.write),
        *tables(lab),
        ("identity-and-back", Cases.identity_and_back, LAZY),
        ("device-agrees", Cases.device_agrees),
        ("stray-dma-of-disk-is-in-host-log", Cases.stray_disk),
        ("reboot", Cases.reboot, LAZY),
        ("poweroff", Cases.poweroff)], **how)


def strict(lab, **how):
    """Strict invalidation, two devices."""
    run(lab, "strict", [
        ("type", Cases.type_is, STRICT),
        ("read-equals-image", Cases.read),
        ("write-reaches-image", Cases.write),
        *tables(lab),
        ("stray-dma-of-engine-is-in-host-log", Cases.stray_engine),
        ("poweroff", Cases.poweroff)], "iommu.strict=1", engine=True, **how)
