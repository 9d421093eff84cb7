# SPDX-License-Identifier: GPL-2.0-or-later
"""What must be reached, what was, and the plots."""

import os
import re
import subprocess
from pathlib import Path

import plots
import tail
from emulator import (ASKED, MAPPED, NESTED, NONE, POLLED, THREADED,
                      WALKED)
from figures import Figures
from pvlab import kernel, paths

DOCS = paths.ROOT / "docs/performance.md"
PLOTS = "performance"           # the folder of plots, beside both
# What is between such lines is written here, by the parts that are in it
BLOCKS = {"bench/lab": ("requests", "disk"),
          "bench/lab --part thread": ("thread",),
          "bench/lab --part tail": ("tail",),
          "bench/lab --part tables": ("tables",)}
OURS, STOCK = "ours, iommufd", "stock, iommufd"
KINDS = (OURS, STOCK, "ours, type1", "stock, type1", "ours, container")
KIB, MIB = 1 << 10, 1 << 20
SIZES = {4 * KIB: "4 KiB", 64 * KIB: "64 KiB", 2 * MIB: "2 MiB"}
TYPES = ("strict", "lazy", "identity")
# What is called flat, and never behind, where each figure has its noise
FLAT, BEHIND = 1.2, 0.95


def number(value, digits=3) -> str:
    """A value for a table: some digits, no exponent."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if abs(value) >= 10 ** (digits - 1) or value == int(value):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def table(head, rows) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(number, line)) + " |\n"
                   for line in lines)


class Report:
    """The text and the plots of one run."""

    def __init__(self, results, out: Path):
        self.figures = Figures(results)
        self.out = out / PLOTS
        self.parts = []
        self.verdicts = []

    def say(self, *texts):
        """Paragraphs."""
        self.parts += texts

    def plot(self, name, title, part="requests") -> Path:
        """Refer to a plot: where to draw it.  PART: of bench/lab, by which
        it can be had again."""
        self.say(f"![{title}]({PLOTS}/{name}.svg)\n",
                 f"(`bench/lab --part {part}`)\n")
        return self.out / f"{name}.svg"

    def judge(self, what, must, was, holds):
        """A line of the first table."""
        self.verdicts.append((what, must, was, "yes" if holds else "**no**"))

    def series(self, what, field, key, **where) -> dict:
        """Of each kind the medians, by the values of KEY."""
        return {kind: points for kind in KINDS if (points := {
            value: middle for value in self.figures.known(what, key)
            if (middle := self.figures.median(
                what, field, kind=kind, **{key: value}, **where))
            is not None})}

    def rows(self, series) -> list:
        """Rows of a table: kinds down, values across."""
        return [(kind, *points.values()) for kind, points in series.items()]

    def memory(self):
        """Pairs of switches over guest memory."""
        figures = self.figures
        sizes = figures.known("switch", "mib")
        series = self.series("switch", "net", "mib", devices=1)
        if OURS not in series or len(sizes) < 2:
            return

        def ours(what, field):
            return [figures.median(what, field, kind=OURS, mib=mib,
                                   devices=1) for mib in sizes]

        def bare(how):
            return [figures.median(f"bare switch {how}", "us", mib=mib)
                    for mib in sizes]

        net = series[OURS].values()
        self.judge("pair of switches, memory of 512 MiB to 2 GiB: most / "
                   "least", f"≤ {FLAT}", f"{max(net) / min(net):.2f}",
                   0 < max(net) / min(net) <= FLAT)
        ratio = figures.ratio("switch", "net", (OURS, STOCK), mib=1536,
                              devices=1)
        self.judge("the same at 1.5 GiB, ours / stock under iommufd",
                   "≤ 1/200", f"1/{1 / ratio:.0f}", 0 < ratio <= 1 / 200)
        row, bare_row = ours("switch in a row", "us"), bare("row")
        most = max(a / b for a, b in zip(row, bare_row))
        self.judge("the same, inside the device / two bare ioctls",
                   "≤ 2", f"{most:.2f}", most <= 2)
        self.say("### A pair of switches, bypass to translated and back\n",
                 "Microseconds from kick to used, less the round trips of "
                 "two PROBEs, over MiB of guest memory. The domain stays, "
                 "kept by an emulated device.\n",
                 table(("", *sizes), self.rows(series)),
                 f"In detail, {OURS}:\n",
                 table(("", *sizes), [
                     ("kick to used", *ours("switch", "kick")),
                     ("a PROBE, kick to used", *ours("probe", "kick")),
                     ("pop to push", *ours("switch", "handled")),
                     ("of that, in ioctls", *ours("switch",
                                                  "calls_inside")),
                     ("bare ioctls", *bare("woken")),
                     ("in a row: pop to push", *row),
                     ("in a row: bare ioctls", *bare_row)]))
        woken = dict(zip(sizes, bare("woken")))
        plots.lines(self.plot("switch", "a pair of switches over memory"),
                    "A pair of switches, one device", "MiB of guest memory",
                    "microseconds", {**series, "bare ioctls": woken},
                    "set logscale y")
        fresh = self.series("switch, new domain", "net", "mib", devices=1)
        self.say("The same where the domain is made by the first switch and "
                 "ends with the second, as when Linux changes the type of a "
                 "group:\n", table(("", *sizes), self.rows(fresh)))

    def devices(self):
        """Pairs of switches over devices."""
        series = self.series("switch", "net", "devices", mib=512)
        calls = self.series("switch", "calls", "devices", mib=512)
        if OURS not in series:
            return
        counts = list(series[OURS])
        self.judge("ioctls of a pair of switches of 1, 2, 4 devices in one "
                   "domain", "one a device and switch",
                   ", ".join(map(number, calls[OURS].values())),
                   all(calls[OURS][count] == 2 * count for count in counts))
        self.say("### Several devices in one domain\n",
                 "All devices are attached, then all detached; 512 MiB. "
                 "Microseconds from kick to used, less PROBEs, and the "
                 "number of ioctls, over the number of devices.\n",
                 table(("", *counts, *(f"ioctls, {count}"
                                       for count in counts)),
                       [(kind, *points.values(), *calls[kind].values())
                        for kind, points in series.items()]))
        plots.lines(self.plot("devices", "switches over devices"),
                    "All devices switched and back, 512 MiB", "devices",
                    "microseconds", series, "set logscale y\nset xtics 1")

    def maps(self):
        """MAP and UNMAP over endpoints."""
        figures = self.figures
        inside = figures.less("map", "inside", "nothing", lambda result: 2)
        rows, detail, shown, over, flat = [], [], {}, [], []
        calls, counts = set(), figures.known("map", "devices")
        for size, name in SIZES.items():
            series = self.series("map", inside, "devices", size=size)
            count = self.series("map", "calls", "devices", size=size)
            if OURS not in series:
                return

            def ours(what, field, size=size):
                return [figures.median(what, field, kind=OURS, size=size,
                                       devices=devices)
                        for devices in counts]

            row = ours("map in a row", "us")
            bare = figures.median("bare map row", "us", size=size)
            over.append(f"{max(row) / bare:.2f}")
            flat.append(max(row) / min(row))
            calls |= set(count[OURS].values())
            rows += [(name, kind, *points.values(), *count[kind].values())
                     for kind, points in series.items()]
            detail += [(name, *line) for line in (
                ("pop to push", *ours("map", "handled")),
                ("of that, in ioctls", *ours("map", "calls_inside")),
                ("bare ioctls", figures.median("bare map woken", "us",
                                               size=size)),
                ("in a row: pop to push", *row),
                ("in a row: bare ioctls", bare))]
            for kind in (OURS, STOCK):
                shown[f"{kind}; {name}"] = series[kind]
        self.judge("ioctls of a MAP and an UNMAP, 1 to 4 endpoints", "2",
                   ", ".join(map(number, sorted(calls))), calls == {2})
        self.judge("MAP and UNMAP, inside the device, 1 to 4 endpoints: most "
                   "/ least", f"≤ {FLAT}", f"{max(flat):.2f}",
                   max(flat) <= FLAT)
        self.judge("the same / the two bare ioctls: "
                   + ", ".join(SIZES.values()), "≤ 1.3", ", ".join(over),
                   max(map(float, over)) <= 1.3)
        self.say("### MAP and UNMAP\n",
                 "Microseconds inside the emulator for the pair, less what a "
                 "write to a register takes that asks for nothing, and the "
                 "number of ioctls, over the number of endpoints in the "
                 "domain.\n",
                 table(("", "", *counts, *(f"ioctls, {count}"
                                           for count in counts)), rows),
                 f"In detail, {OURS}:\n",
                 table(("", "", *counts), [
                     (*line, *[""] * (2 + len(counts) - len(line)))
                     for line in detail]))
        plots.lines(self.plot("map", "MAP and UNMAP over endpoints"),
                    "MAP and UNMAP, inside the emulator",
                    "endpoints in the domain", "microseconds", shown,
                    "set xtics 1\nset yrange [0:*]")

    def pinned(self):
        """Memory that the host has pinned."""
        def mib(result):
            return (result["VmPin"] + result["VmLck"]) / 1024

        series = self.series("pinned", mib, "devices", mib=512)
        mapped = self.series("pinned, mapped", mib, "devices", mib=512)
        if OURS not in series:
            return
        counts = list(series[OURS])
        ours, less = series[OURS].values(), mapped[OURS].values()
        self.judge("memory pinned for 1, 2, 4 devices in bypass, 512 MiB",
                   "the same", ", ".join(map(number, ours)) + " MiB",
                   max(ours) == min(ours))
        self.judge("the same with boot-bypass=off and 64 MiB mapped",
                   "64 MiB", ", ".join(map(number, less)) + " MiB",
                   set(less) == {64})
        self.say("### Memory pinned\n",
                 "MiB that the host's kernel has pinned (VmPin, with type1 "
                 "VmLck) for a guest of 512 MiB, over the number of devices: "
                 "all in bypass; and with `boot-bypass=off`, all in a domain "
                 "where 64 MiB are mapped.\n",
                 table(("", *(f"bypass, {count}" for count in counts),
                        *(f"mapped, {count}" for count in counts)),
                       [(kind, *points.values(), *mapped[kind].values())
                        for kind, points in series.items()]))
        plots.lines(self.plot("pinned", "memory pinned over devices"),
                    "Memory pinned, guest of 512 MiB in bypass", "devices",
                    "MiB", series, "set yrange [0:*]\nset xtics 1")

    def many(self):
        """Switches to a domain of many mappings."""
        series = self.series("switch, many", "net", "mappings")
        calls = self.series("switch, many", "calls", "mappings")
        if OURS not in series:
            return
        counts = list(series[OURS])
        self.judge("ioctls of a pair of switches to a domain of 10^4 "
                   "mappings", "2", calls[OURS][counts[-1]],
                   calls[OURS][counts[-1]] == 2)
        self.say("### Many mappings in the domain\n",
                 "A second device is attached to a domain that has mappings "
                 "and is detached again; 512 MiB. Microseconds from kick to "
                 "used, less PROBEs, and the number of ioctls, over the "
                 "number of mappings.\n",
                 table(("", *counts, *(f"ioctls, {count}"
                                       for count in counts)),
                       [(kind, *points.values(), *calls[kind].values())
                        for kind, points in series.items()]))
        plots.lines(self.plot("many", "a pair of switches over mappings"),
                    "A pair of switches, a device more in the domain",
                    "mappings in the domain", "microseconds", series,
                    "set logscale xy")

    def reads(self):
        """Random reads of a disk."""
        depths = self.figures.known("read", "depth")
        rows, shown, worst = [], {}, {}
        for kind in KINDS[:4]:
            shown[kind] = [self.figures.median(
                "read", "rate", kind=kind, type=name, depth=depth)
                for name in TYPES for depth in depths]
        if not depths:
            return
        heads = [f"{name}, {depth}" for name in TYPES for depth in depths]
        rows = [(kind, *values) for kind, values in shown.items()]
        for path in ("iommufd", "type1"):
            pair = (f"ours, {path}", f"stock, {path}")
            ratios = [self.figures.ratio("read", "rate", pair, type=name,
                                         depth=depth)
                      for name in TYPES for depth in depths]
            rows.append((f"ours / stock, {path}",
                         *(f"{ratio:.2f}" for ratio in ratios)))
            worst[path] = min(ratios)
        for path, ratio in worst.items():
            self.judge("NVMe in a Linux guest, 4 KiB at random, ours / "
                       f"stock, {path}: the least of the six",
                       f"≥ {BEHIND}", f"{ratio:.2f}", ratio >= BEHIND)
        self.say("### Reads of an NVMe disk\n",
                 "Random reads of 4 KiB, how many a second, in a Linux guest "
                 "with one vCPU: strict, lazy, and identity, at queue depth 1 "
                 "and 32. The disk answers at once (null-co), so what is "
                 "left is the way to it.\n", table(("", *heads), rows))
        plots.bars(self.plot("reads", "reads of an NVMe disk", "disk"),
                   "Random reads of 4 KiB, passed-through NVMe",
                   "reads a second", heads, shown)

    def walked(self):
        """Reads of a disk whose guest has a table of its own."""
        def time(kind, name, kib):
            return self.figures.median("walked", "time", kind=kind, type=name,
                                       kib=kib)

        def ratio(kind, other, name, kib):
            return self.figures.ratio("walked", "time", (kind, other),
                                      type=name, kib=kib)

        columns = [(name, kib) for kib in self.figures.known("walked", "kib")
                   for name in TYPES[:2]]
        kinds = [kind.name for kind in WALKED]
        for over, other, name, kib, most in (
                (1.1, NONE, "lazy", 4, "1.1"), (1 / 5, STOCK, "strict", 1024,
                                               "1/5"),
                (1 / 4, STOCK, "lazy", 1024, "1/4")):
            was = ratio(NESTED, other, name, kib)
            self.judge(f"reads of {kib} KiB, {name}, {NESTED} / {other}",
                       f"≤ {most}", f"{was:.2f}", was <= over)
        shown = {kind: [time(kind, *column) for column in columns]
                 for kind in kinds}
        heads = [f"{kib} KiB, {name}" for name, kib in columns]
        rows = [(kind, *values) for kind, values in shown.items()]
        rows += [(f"{kind} / {other}",
                  *(f"{ratio(kind, other, *column):.2f}"
                    for column in columns))
                 for kind, other in ((NESTED, NONE), (NESTED, STOCK),
                                     (MAPPED, STOCK))]
        rows += [(f"requests a read, {kind}",
                  *(self.figures.median("walked", "requests", kind=kind,
                                        type=name, kib=kib)
                    for name, kib in columns)) for kind in (MAPPED, NESTED)]
        self.say("Random reads, one at a time, of a passed-through NVMe disk "
                 "in Linux guests with the patches of `guest/linux`, on an "
                 "arm64 host: microseconds a read. Nested is with "
                 "`guest-tables=on`.\n", table(("", *heads), rows))
        plots.bars(self.plot("walked", "reads with tables of the guest's",
                             "tables"),
                   "Random reads, passed-through NVMe, host with two stages",
                   "microseconds a read", heads, shown)

    def polled(self):
        """Reads of a disk whose guest's requests a thread polls for."""
        names = TYPES[:2]
        kinds = [kind.name for kind in THREADED]

        def ratio(kind, other, name):
            return self.figures.ratio("polled", "time", (kind, other),
                                      type=name)

        def shares(field, name):
            return self.figures.median("polled", field, kind=POLLED,
                                       type=name)

        for other, most in ((NONE, 1.7), (STOCK, 0.8)):
            for name in names:
                was = ratio(POLLED, other, name)
                self.judge(f"reads of 4 KiB, {name}, {POLLED} / {other}",
                           f"≤ {most}", f"{was:.2f}", was <= most)
        for name in names:
            was = shares("kicks", name)
            self.judge(f"kicks a read, {name}, {POLLED}", "≤ 0.01",
                       f"{was:.4f}", was <= 0.01)
        shown = {kind: [self.figures.median("polled", "time", kind=kind,
                                            type=name) for name in names]
                 for kind in kinds}
        idle = [self.figures.median("idle", "share", kind=kind)
                for kind in kinds]
        rows = [(kind, *shown[kind], f"{share:.3f}")
                for kind, share in zip(kinds, idle)]
        rows += [(f"{kind} / {other}",
                  *(f"{ratio(kind, other, name):.2f}" for name in names), "")
                 for kind, other in ((POLLED, NONE), (POLLED, STOCK),
                                     (POLLED, ASKED), (ASKED, STOCK))]
        rows += [(f"{field} a read, {POLLED}",
                  *(f"{shares(field, name):.4f}" for name in names), "")
                 for field in ("requests", "kicks")]
        self.say("Random reads of 4 KiB, one at a time, of a passed-through "
                 "NVMe disk in Linux guests as they are, with `iothread=` and "
                 "without, on a host with two processors: microseconds a "
                 "read, and the share of a processor that the emulator takes "
                 "when the guest does nothing.\n",
                 table(("", *names, "idle"), rows))
        plots.bars(self.plot("polled", "reads with requests in a thread",
                             "thread"),
                   "Random reads, passed-through NVMe, two processors",
                   "microseconds a read", list(names), shown)

    def tails(self):
        """The slowest requests of a guest, with a busy main loop."""
        def value(field, kind, load):
            return self.figures.median("tail", field, kind=kind, load=load)

        def ratio(kind, other):
            return self.figures.ratio("tail", "worst", (tail.BUSY, other),
                                      key="load", kind=kind)

        was = ratio(POLLED, tail.IDLE)
        self.judge(f"a MAP and an UNMAP, the slowest of 1000, {POLLED}: main "
                   "loop busy / idle", "≤ 3", f"{was:.1f}", was <= 3)
        self.say("A MAP and an UNMAP of 4 KiB as Linux makes them for iommufd, "
                 "emulated devices only, microseconds a pair, the median and "
                 "the slowest of 1000: while nothing else goes on, while "
                 "another process takes a processor, and while `info mtree "
                 "-f` and `screendump` keep the main loop busy. On "
                 f"{os.cpu_count()} processors.\n",
                 table(("", "nothing", "slowest", "beside", "slowest", "busy",
                        "slowest", "slowest, busy / nothing",
                        "busy / beside"),
                       [(kind.name, *(value(field, kind.name, load)
                                      for load in (tail.IDLE, tail.BESIDE,
                                                   tail.BUSY)
                                      for field in ("middle", "worst")),
                         *(f"{ratio(kind.name, other):.1f}"
                           for other in (tail.IDLE, tail.BESIDE)))
                        for kind in tail.KINDS]))

    def text(self, parts, linux) -> str:
        """What PARTS say, and the verdicts on it; LINUX: what ran there."""
        for part in parts:
            part(self)
        return table(("what", "must be", "was", "reached"),
                     self.verdicts) + "\n" + versions(linux) + "\n" + \
            "\n".join(self.parts)


# Of a block, what makes it and which kernels ran
PLAIN = ((Report.memory, Report.devices, Report.maps, Report.pinned,
          Report.many, Report.reads),
         lambda: f"{kernel.lab().release} as host and guest")
WALK = ((Report.walked,),
        lambda: f"{kernel.lab('arm64').release} as host, "
                f"{kernel.patched('arm64').release} with our patches as guest")
THREAD = ((Report.polled,), PLAIN[1])
TAIL = ((Report.tails,), lambda: f"{kernel.lab().release} as guest")
# What makes a block, by a part of it
MAKERS = {"requests": PLAIN, "thread": THREAD, "tail": TAIL, "tables": WALK}


def versions(linux) -> str:
    """What ran; LINUX: the kernels."""
    def said(*command):
        return subprocess.run(command, text=True, check=True,
                              stdout=subprocess.PIPE).stdout.splitlines()[0]

    cpu = re.search(r"model name\s*: (.*)",
                    Path("/proc/cpuinfo").read_text()).group(1)
    commit = said("git", "-C", paths.ROOT, "describe", "--always", "--dirty")
    return (f"What ran: pviommu {commit}; {said(paths.emulator(), '--version')}"
            f"; Linux {linux()}; "
            f"{said('cc', '--version')}; {said('gnuplot', '--version')}; on "
            f"{cpu}.\n")


def report(results, out, docs) -> int:
    """Print the report and draw the plots: whether all was reached, as an
    exit status.  DOCS: put both into docs/, too."""
    reached, texts = True, []
    for name, parts in BLOCKS.items():
        if not any(result["part"] in parts for result in results):
            continue
        made = Report(results, DOCS.parent if docs else out)
        texts.append(made.text(*MAKERS[parts[0]]))
        reached &= all(verdict[-1] == "yes" for verdict in made.verdicts)
        if docs:
            begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
            before, _, rest = DOCS.read_text().partition(begin)
            DOCS.write_text(before + begin + texts[-1] + end +
                            rest.partition(end)[2])
    print("\n".join(texts))
    (out / "report.md").write_text("\n".join(texts))
    return 0 if reached else 1
