# SPDX-License-Identifier: GPL-2.0-or-later
"""Test cases that speak TAP on stdout and tell their progress on stderr."""

import os
import sys
import time
import traceback


class Skip(Exception):
    """The case cannot run here; the text says what is missing."""


class Tap:
    """Numbers and prints results.  No plan is known before the end."""

    def __init__(self, only=(), say=None, done=(), prefix=""):
        """ONLY: run the cases whose name holds one of these words.  SAY:
        where progress goes, if not to stderr.  DONE: names of cases that
        were judged before and are left out.  PREFIX: what every name begins
        with."""
        self._prefix = prefix
        self._done = frozenset(done)
        self._tell = say
        self._only = only
        self._start = time.monotonic()
        self.passed = self.failed = self.skipped = 0
        self._print("TAP version 13")

    def _print(self, text):
        print(text, flush=True)

    def say(self, text):
        """A line of progress, for the person who waits."""
        if self._tell:
            self._tell(text)
            return
        spent = time.monotonic() - self._start
        layer = os.environ.get("PVIOMMU_LAYER")
        where = f"{layer}: " if layer else ""
        print(f"  [{spent:5.1f}s] {where}{text}", file=sys.stderr,
              flush=True)

    def note(self, text):
        """A remark in the results."""
        for line in str(text).splitlines():
            self._print(f"# {line}")

    def wanted(self, name) -> bool:
        """Whether the case NAME was asked for."""
        name = self._prefix + name
        return name not in self._done and (
            not self._only or any(word in name for word in self._only))

    def result(self, ok, name, reason=None):
        """Report a case that has been judged elsewhere."""
        if ok:
            self.passed += 1
        else:
            self.failed += 1
        number = self.passed + self.failed + self.skipped
        self._print(f"{'ok' if ok else 'not ok'} {number} - "
                    f"{self._prefix}{name}")
        if reason:
            self.note(reason)

    def skip(self, name, reason):
        """Report a case that could not run."""
        self.skipped += 1
        number = self.passed + self.failed + self.skipped
        self._print(f"ok {number} - {self._prefix}{name} # SKIP {reason}")

    def case(self, name, function, *args) -> bool:
        """Run FUNCTION as the case NAME: whether it passed."""
        if not self.wanted(name):
            return True
        self.say(name)
        try:
            function(*args)
        except Skip as reason:
            self.skip(name, reason)
            return True
        except Exception as error:  # each case stands alone
            self.result(False, name, f"{type(error).__name__}: {error}")
            if not isinstance(error, AssertionError):
                self.note(traceback.format_exc())
            return False
        self.result(True, name)
        return True

    def finish(self) -> int:
        """Print the plan: the status to exit with."""
        total = self.passed + self.failed + self.skipped
        self._print(f"1..{total}")
        self.note(f"{self.passed} passed, {self.failed} failed, "
                  f"{self.skipped} skipped")
        return 1 if self.failed or not total else 0


def check(condition, text):
    """Fail the case with TEXT unless CONDITION holds."""
    if not condition:
        raise AssertionError(text)


def same(got, wanted, what):
    """Fail the case unless GOT equals WANTED."""
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")
