# SPDX-License-Identifier: GPL-2.0-or-later
"""The view in a terminal."""

import curses

from . import text

HELP = 'q quit   m address spaces   arrows scroll'


class View:
    """What is shown: the newest sample, from some line on."""

    def __init__(self, window, take, interval, spaces):
        """TAKE: gives a sample, told whether with address spaces."""
        self.window = window
        self.take = take
        self.spaces = spaces
        self.top = 0
        curses.use_default_colors()
        try:
            curses.curs_set(0)
        except curses.error:
            pass                    # a terminal that cannot hide it
        window.timeout(int(interval * 1000))

    def draw(self, lines):
        """LINES from the first that is to be seen on."""
        height, width = self.window.getmaxyx()
        room = max(height - 1, 1)
        self.top = max(min(self.top, len(lines) - room), 0)
        self.window.erase()
        for row, line in enumerate(lines[self.top:self.top + room]):
            style = curses.A_BOLD if self.top + row == 0 else 0
            if line.startswith('ENDPOINT'):
                style = curses.A_REVERSE
            self.window.addnstr(row, 0, line, width - 1, style)
        if height > 1:
            self.window.addnstr(height - 1, 0, HELP, width - 1, curses.A_DIM)
        self.window.refresh()

    def run(self):
        """Until the person has seen enough."""
        before = None
        while True:
            sample = self.take(self.spaces)
            # with lines of the width of now, whatever it is later
            width = self.window.getmaxyx()[1] - 1
            self.draw(text.lines(sample, before, max(width, 20)))
            before = sample
            key = self.window.getch()
            if key in (ord('q'), 27):
                return
            if key == ord('m'):
                self.spaces = not self.spaces
            self.top += {curses.KEY_DOWN: 1, curses.KEY_UP: -1,
                         curses.KEY_NPAGE: 10,
                         curses.KEY_PPAGE: -10}.get(key, 0)


def show(take, interval, spaces):
    """Take the terminal, and give it back."""
    curses.wrapper(lambda window: View(window, take, interval, spaces).run())
