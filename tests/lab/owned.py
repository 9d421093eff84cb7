# SPDX-License-Identifier: GPL-2.0-or-later
"""What all cases with tables of the guest's have in common, whoever serves
them: nested.py and shadow.py."""

from cases import Cases
from driven import A, BLOCKED, BYPASS, BYPASS_DOMAIN, Driven
from pvlab.tap import check, same
from replay import name_of

T1, T2 = 11, 12         # domains that are tables
STATES = (BLOCKED, BYPASS, BYPASS_DOMAIN, A, T1, T2)
NAMES = {T1: "table", T2: "other-table"}


def word(state) -> str:
    """A state in the name of a case."""
    return NAMES.get(state) or name_of(state)


class Owner(Driven):
    """The machine, with tables of its own in memory."""

    def __init__(self, *words, **more):
        self.tables = {}        # by domain
        super().__init__(*words, **more)

    def go(self, state):
        """Take the engine to a state."""
        if state in self.tables:
            self.state = state
            self.attach_table(self.engine, state)
        else:
            super().go(state)


class Linux(Cases):
    """Cases of a Linux guest whose driver has the patches of guest/linux."""

    def no_maps(self):
        """The disk works, and nothing was mapped by request."""
        self.read()
        self.write()
        requests = self.guest.device.requests()
        same([kind for kind in ("MAP", "UNMAP") if kind in requests], [],
             f"requests of tables that nobody needs, in {requests}")
        check(requests["INVALIDATE"] > 0, f"no INVALIDATE in {requests}")
        self.lab.results.note(f"{requests['INVALIDATE']} INVALIDATEs")
        same(self.guest.device.endpoint("disk")["state"], "translated",
             "the disk's state")

    def clean(self):
        """Nothing was refused, wrong or worth a warning."""
        device = self.guest.device
        same(device.refusals(), 0, "host-refusals")
        same(device.mistakes(), {}, "the guest's mistakes")
        same(device.refused(), {}, "statuses other than OK")
        same(self.linux.splats(), [], "warnings in the guest's log")
        same(self.linux.faults(), [], "fault reports in the guest's log")
        same(self.linux.log_lines("refused"), [], "what the driver prints")
