# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for facts.

A test goes on when what it waits for is so, and never because some time has
passed: machines differ in speed by an order of magnitude, and a busy one is
slower still.  A bound only ends the waiting for what never comes."""

import time

# No fact that a test waits for takes a tenth of this, in seconds, where it
# comes at all
PATIENCE = 600


class Lost(Exception):
    """What was waited for did not come; the text says what that was."""


class _Bound:
    seconds = PATIENCE


def patience() -> float:
    """How long to wait, in seconds.  After a wait in vain, with which the run
    has failed, a tenth."""
    return _Bound.seconds


def in_vain(what) -> Lost:
    """What to raise where patience() has ended."""
    waited, _Bound.seconds = _Bound.seconds, PATIENCE / 10
    return Lost(f"waited {waited:.0f} s in vain: {what}")


def until(fact, what, prompt=None):
    """Ask FACT, a function, again and again until its answer is true: that
    answer.  WHAT: the fact in words, for where it never is.  PROMPT: what
    brings it about, done first, and once more every two seconds, for logs
    that leave out what comes too often."""
    deadline = time.monotonic() + patience()
    again = 0
    while True:
        if prompt and time.monotonic() >= again:
            prompt()
            again = time.monotonic() + 2
        answer = fact()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise in_vain(what)
        time.sleep(0.05)
