# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots, drawn by gnuplot."""

import subprocess
from pathlib import Path

START = """set terminal svg size 720,460 font 'sans,11' background 'white'
set encoding utf8
set title '{title}'
set xlabel '{across}'
set ylabel '{up}'
set key below
set grid ytics
{more}
"""
# One colour a kind of host path; stock is dashed
STYLES = {"ours, iommufd": (1, "#0060ad"), "stock, iommufd": (2, "#0060ad"),
          "ours, type1": (1, "#dd181f"), "stock, type1": (2, "#dd181f"),
          "ours, container": (1, "#00a050"), "bare ioctls": (3, "#000000"),
          "no IOMMU": (2, "#000000"), "ours, MAP": (1, "#0060ad"),
          "ours, nested": (1, "#dd181f"), "ours, iothread": (1, "#dd181f")}


def _draw(path: Path, script):
    """Have gnuplot make PATH; with the licence, and without spaces at the
    ends of lines."""
    drawn = subprocess.run(["gnuplot"], input=script, text=True, check=True,
                           stdout=subprocess.PIPE).stdout
    first, *rest = (line.rstrip() for line in drawn.strip().splitlines())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([
        first, "<!-- SPDX-License-Identifier: GPL-2.0-or-later -->",
        *rest]) + "\n")


def lines(path, title, across, up, series, more=""):
    """SERIES: of each kind the points, a dictionary x -> y."""
    script = START.format(title=title, across=across, up=up, more=more)
    parts = []
    for i, (kind, points) in enumerate(series.items()):
        name = kind.partition(";")[0]
        dash, colour = STYLES[name]
        script += f"$data{i} << END\n" + "".join(
            f"{x} {y}\n" for x, y in sorted(points.items())) + "END\n"
        parts.append(f"$data{i} using 1:2 with linespoints dashtype {dash} "
                     f"linecolor rgb '{colour}' pointtype {5 + i % 8} "
                     f"title '{kind.replace(';', ',')}'")
    _draw(path, script + "plot " + ", ".join(parts) + "\n")


def bars(path, title, up, groups, series):
    """GROUPS: the names across.  SERIES: of each kind one value a group."""
    script = START.format(
        title=title, across="", up=up,
        more="set style data histograms\nset style fill solid 0.7 border -1\n"
             "set yrange [0:*]")
    script += "$data << END\n"
    for i, group in enumerate(groups):
        script += " ".join([f'"{group}"', *(
            f"{values[i]}" for values in series.values())]) + "\n"
    script += "END\n"
    parts = []
    for i, kind in enumerate(series):
        dash, colour = STYLES[kind]
        fill = "solid 0.9" if dash == 1 else "pattern 5"
        parts.append(f"$data using {i + 2}:xtic(1) fillstyle {fill} "
                     f"linecolor rgb '{colour}' title '{kind}'")
    _draw(path, script + "plot " + ", ".join(parts) + "\n")
