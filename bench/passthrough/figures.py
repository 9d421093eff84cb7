# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured, by what it was measured of: medians over the rounds."""

import statistics


class Figures:
    """The results, to be asked for."""

    def __init__(self, results):
        self._results = results

    def _select(self, what, where) -> list[dict]:
        return [result for result in self._results
                if result["what"] == what and all(
                    result.get(key) == value for key, value in where.items())]

    def values(self, what, field, **where) -> dict:
        """Of each round the value; of a function, its value."""
        found = {}
        for result in self._select(what, where):
            found[result["round"]] = field(result) if callable(field) \
                else result[field]
        return found

    def median(self, what, field, **where):
        """The median over the rounds; None if it was not measured."""
        values = self.values(what, field, **where).values()
        return statistics.median(values) if values else None

    def ratio(self, what, field, over, key="kind", **where):
        """The median of the ratios of two kinds, each of one round.  KEY:
        what the two differ by, if not by that."""
        (one, other) = over
        first = self.values(what, field, **{key: one}, **where)
        second = self.values(what, field, **{key: other}, **where)
        ratios = [first[number] / second[number] for number in first
                  if number in second and second[number]]
        return statistics.median(ratios) if ratios else None

    def known(self, what, key) -> list:
        """The values of a key, in order."""
        return sorted({result[key] for result in self._select(what, {})
                       if key in result})

    def less(self, what, field, idle, requests):
        """A function of a result: its FIELD less REQUESTS times that of the
        measurement IDLE in the same machine."""
        def value(result):
            same = {key: result[key]
                    for key in ("round", "kind", "mib", "devices")}
            (base,) = self.values(idle, field, **same).values()
            return result[field] - requests(result) * base
        return value
