# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU ends, of itself or not, with its devices in each state and domains
beside: nothing of it is left in the host."""

import signal

from driven import A, BLOCKED, BYPASS, BYPASS_DOMAIN, Driven
from pvlab.tap import check, same
from replay import fill, name_of
from lifecycle import dmar_faults, settle, vmstat


def end_by_quit(guest: Driven):
    """As the operator ends it: without a word."""
    guest.machine.qmp("quit")
    same(guest.machine.wait(), 0, "QEMU's status")
    guest.said_nothing()


def end_by_kill(guest: Driven):
    """With no time to clean up."""
    guest.machine.process.send_signal(signal.SIGKILL)
    guest.machine.wait()


CASES = [(f"ends/{how}-{name_of(state)}", end, state)
         for how, end in (("quit", end_by_quit), ("kill", end_by_kill))
         for state in (BLOCKED, BYPASS, BYPASS_DOMAIN, A)]


def round_of(lab, backend, end, state):
    """One machine from start to end."""
    before, faults = vmstat(), len(dmar_faults())
    with Driven(f"{backend}-ends", lab.iommu, backend) as guest:
        guest.start()
        guest.go(BLOCKED)
        fill(guest)
        guest.go(state)
        check(guest.compare(), "the host holds nothing")
        check(vmstat() != before, "the machine has taken nothing")
        end(guest)
    settle(before)
    same(dmar_faults()[faults:], [], "faults in the host's log")


def cases(lab, backend):
    """All cases over one kind of container."""
    for name, end, state in CASES:
        lab.results.case(f"{backend}/{name}", round_of, lab, backend, end,
                         state)
