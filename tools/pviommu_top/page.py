# SPDX-License-Identifier: GPL-2.0-or-later
"""A recording as one HTML page that needs nothing else: states of endpoints,
mapped memory, requests, and the domains' address spaces, over time."""

import time
import xml.etree.ElementTree as ET

from . import text

WIDTH, LEFT = 960, 150      # of a drawing, and of the names in it
ROW, ROWS = 18, 64          # height of a bar; of an address space, in cells
CELL = 4
STATES = {'translated': '#2a8f4f', 'bypass': '#9aa5b1', 'blocked': '#c0392b',
          'unprotected': '#e08e0b'}
LINES = ('#1f5fa8', '#c0392b', '#2a8f4f', '#8e44ad', '#e08e0b', '#16808a',
         '#7f8c8d', '#5d4037')
STYLE = """body { font: 14px sans-serif; margin: 2em; max-width: 1000px }
svg { display: block; background: #fff }
text { font: 12px sans-serif }
.key { margin-right: 1.5em }"""


def _time(seconds):
    return time.strftime('%H:%M:%S', time.localtime(seconds))


class Drawing:
    """An SVG picture with time from left to right."""

    def __init__(self, parent, samples, height):
        self.first = samples[0]['time']
        self.last = max(samples[-1]['time'], self.first + 1)
        self.svg = ET.SubElement(parent, 'svg', {
            'width': str(WIDTH), 'height': str(height + 20),
            'viewBox': f'0 0 {WIDTH} {height + 20}', 'role': 'img'})
        for when in (self.first, self.last):
            self.text(min(self.x(when), WIDTH - 55), height + 15, _time(when))

    def x(self, when):
        """Where a moment is."""
        share = (when - self.first) / (self.last - self.first)
        return round(LEFT + (WIDTH - LEFT) * share, 1)

    def text(self, x, y, words):
        """Words at a place."""
        ET.SubElement(self.svg, 'text', x=str(x), y=str(y)).text = words

    def bar(self, begin, end, y, height, colour, title, opacity=1.0):
        """What is so from one moment to another."""
        left, right = self.x(begin), self.x(end)
        bar = ET.SubElement(self.svg, 'rect', {
            'x': str(left), 'y': str(y), 'height': str(height),
            'width': str(max(round(right - left, 1), 1)), 'fill': colour,
            'fill-opacity': f'{opacity:.2f}'})
        ET.SubElement(bar, 'title').text = title

    def line(self, points, most, height, colour, title):
        """A curve through pairs of a moment and a number."""
        places = ' '.join(
            f'{self.x(when)},{height - height * value / (most or 1):.1f}'
            for when, value in points)
        line = ET.SubElement(self.svg, 'polyline', {
            'points': places, 'fill': 'none', 'stroke': colour,
            'stroke-width': '1.5'})
        ET.SubElement(line, 'title').text = title


def _ends(samples):
    """Each sample with the moment up to which it stands."""
    moments = [sample['time'] for sample in samples[1:]]
    return list(zip(samples, [*moments, samples[-1]['time'] + 1]))


def _endpoints(sample, path):
    """Those of an IOMMU, which may not be there."""
    return (text.instance(sample, path) or {'endpoints': []})['endpoints']


def _heading(parent, level, words):
    ET.SubElement(parent, f'h{level}').text = words


def _key(parent, colours):
    """What colours mean."""
    line = ET.SubElement(parent, 'p')
    for name, colour in colours.items():
        ET.SubElement(line, 'span', {
            'class': 'key', 'style': f'color: {colour}'}).text = f'■ {name}'


def _states(parent, samples, path):
    """A bar for each endpoint."""
    names = {}
    for sample in samples:
        for endpoint in _endpoints(sample, path):
            names.setdefault(endpoint['id'], text.name(endpoint))
    _heading(parent, 3, 'Endpoints')
    _key(parent, STATES)
    drawing = Drawing(parent, samples, len(names) * ROW)
    for row, (number, name) in enumerate(sorted(names.items())):
        drawing.text(0, row * ROW + 13, f'{text.place(number)} {name}')
        for sample, end in _ends(samples):
            for endpoint in _endpoints(sample, path):
                if endpoint['id'] == number:
                    domain = endpoint.get('domain')
                    drawing.bar(
                        sample['time'], end, row * ROW + 2, ROW - 4,
                        STATES[endpoint['state']],
                        f"{_time(sample['time'])} {name}: "
                        f"{endpoint['state']}"
                        + ('' if domain is None else f', domain {domain}'))


def _curves(parent, samples, title, curves, unit):
    """Several curves below one another's greatest value."""
    most = max((value for points in curves.values()
                for _, value in points), default=0)
    _heading(parent, 3, title)
    colours = dict(zip(curves, LINES * 3))
    _key(parent, colours)
    drawing = Drawing(parent, samples, 120)
    drawing.text(0, 12, unit(most))
    drawing.text(0, 120, unit(0))
    for name, points in curves.items():
        drawing.line(points, most, 120, colours[name], name)


def _requests(samples, path):
    """Requests a second, by type; of types that were seen."""
    curves = {}
    for before, now in zip(samples, samples[1:]):
        old, new = text.instance(before, path), text.instance(now, path)
        spent = now['time'] - before['time']
        if not old or not new or spent <= 0:
            continue
        for name, count in new['requests'].items():
            curves.setdefault(name, []).append(
                (now['time'],
                 max(count - old['requests'].get(name, 0), 0) / spent))
    return {name: points for name, points in curves.items()
            if any(value for _, value in points)}


def _space(parent, samples, path, domain):
    """What a domain maps, darker where more of it is mapped."""
    shown = []
    for sample, end in _ends(samples):
        for space in sample.get('spaces', []):
            if space['path'] == path and space['domain'] == domain and \
                    space['mappings']:
                shown.append((sample['time'], end, space['mappings']))
    if not shown:
        return
    first = min(mappings[0]['first'] for _, _, mappings in shown)
    last = max(mappings[-1]['last'] for _, _, mappings in shown)
    _heading(parent, 3, f'Domain {domain}')
    drawing = Drawing(parent, samples, ROWS * CELL)
    drawing.text(0, 12, f'{last:#x}')
    drawing.text(0, ROWS * CELL, f'{first:#x}')
    for begin, end, mappings in shown:
        for cell, share in enumerate(text.shares(mappings, first, last,
                                                 ROWS)):
            if share:
                at = first + (last - first + 1) * cell // ROWS
                drawing.bar(begin, end, (ROWS - 1 - cell) * CELL, CELL,
                            LINES[0], f'{_time(begin)} {at:#x}: '
                            f'{share * 100:.0f} %', 0.25 + 0.75 * share)


def page(samples):
    """The page, of at least one sample."""
    html = ET.Element('html', lang='en')
    head = ET.SubElement(html, 'head')
    ET.SubElement(head, 'meta', charset='utf-8')
    ET.SubElement(head, 'title').text = 'pviommu'
    ET.SubElement(head, 'style').text = STYLE
    body = ET.SubElement(html, 'body')
    info = samples[-1]['pviommu']
    _heading(body, 1, 'What the guest did with its IOMMU')
    ET.SubElement(body, 'p').text = (
        f"pviommu {info['version']}, QEMU {samples[-1]['qemu']}, "
        f"{time.strftime('%Y-%m-%d', time.localtime(samples[0]['time']))}, "
        f"{_time(samples[0]['time'])} to {_time(samples[-1]['time'])}, "
        f'{len(samples)} samples')
    for iommu in info['instances']:
        path = iommu['path']
        mapped = [(sample['time'], text.instance(sample, path)['mapped-bytes'])
                  for sample in samples if text.instance(sample, path)]
        _heading(body, 2, iommu.get('id', path))
        _states(body, samples, path)
        _curves(body, samples, 'Mapped', {'bytes': mapped}, text.size)
        _curves(body, samples, 'Requests a second', _requests(samples, path),
                '{:.0f}'.format)
        domains = {space['domain'] for sample in samples
                   for space in sample.get('spaces', [])
                   if space['path'] == path}
        for domain in sorted(domains):
            _space(body, samples, path, domain)
    return '<!DOCTYPE html>\n' + ET.tostring(html, 'unicode', method='html')
