# SPDX-License-Identifier: GPL-2.0-or-later
"""A sample in lines of text.  Without curses, so that it can be tested."""

import time

UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')
PLATFORM = 1 << 31      # ids from there on are of virtio-mmio devices


def size(number):
    """A number of bytes: exact as long as that is short."""
    unit = 0
    while number >= 1024 and unit < len(UNITS) - 1 and (
            number % 1024 == 0 or number >= 10240):
        number /= 1024
        unit += 1
    return f'{number:.0f} {UNITS[unit]}' if number == int(number) \
        else f'{number:.1f} {UNITS[unit]}'


def place(endpoint):
    """An endpoint's number as people know it."""
    if endpoint >= PLATFORM:
        return f'mmio@{(endpoint - PLATFORM) * 512:x}'
    return f'{endpoint >> 8:02x}:{endpoint >> 3 & 31:02x}.{endpoint & 7}'


def name(endpoint):
    """The last part of the QOM path: the device's id, if it has one."""
    return endpoint['device'].rsplit('/', 1)[-1]


def instance(sample, path):
    """An IOMMU in a sample, or None."""
    return next((iommu for iommu in sample['pviommu']['instances']
                 if iommu['path'] == path), None)


def _counts(counters):
    """Those that are not 0."""
    return ', '.join(f'{name} {count}' for name, count in counters.items()
                     if count) or 'none'


def _requests(iommu, sample, before):
    """How many there were, and a second since the sample before."""
    total = f"requests: {_counts(iommu['requests'])}; kicks: {iommu['kicks']}"
    past = before and instance(before, iommu['path'])
    spent = past and sample['time'] - before['time']
    if not spent or spent < 0:
        return total

    def rate(now, then):
        return f'{(now - then) / spent:.0f}/s'

    rates = ', '.join(
        f"{name} {rate(count, past['requests'].get(name, 0))}"
        for name, count in iommu['requests'].items()
        if count != past['requests'].get(name, 0)) or 'none'
    return f"{total}; now {rates}; kicks {rate(iommu['kicks'], past['kicks'])}"


def _refusals(iommu):
    """What was not answered OK."""
    return ', '.join(f'{kind} {status} {count}'
                     for kind, statuses in iommu['statuses'].items()
                     for status, count in statuses.items()) or 'none'


def _table(rows):
    """Columns as wide as they need."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(word.ljust(width)
                      for word, width in zip(row, widths)).rstrip()
            for row in rows]


def _endpoints(iommu):
    """A line for each, below a heading."""
    domains = {domain['id']: domain for domain in iommu['domains']}
    rows = [('ENDPOINT', 'DEVICE', 'TYPE', 'STATE', 'DOMAIN', 'MAPPINGS',
             'MAPPED', 'HOST')]
    for endpoint in iommu['endpoints']:
        domain = domains.get(endpoint.get('domain'))
        state = endpoint['state'] + (', fenced' if endpoint.get('fenced')
                                     else '')
        host = endpoint.get('host-path', '-')
        if endpoint.get('host-device'):
            host += f" {endpoint['host-device']}"
        rows.append((
            place(endpoint['id']), name(endpoint),
            endpoint['type'], state,
            '-' if domain is None else f"{domain['id']} {domain['kind']}",
            '-' if domain is None else str(domain['mappings']),
            '-' if domain is None else size(domain['mapped-bytes']),
            endpoint.get('reason', host)))
    return _table(rows) if len(rows) > 1 else ['no endpoints']


def shares(mappings, first, last, parts):
    """How much of each of PARTS equal parts of the addresses from FIRST to
    LAST is mapped: 0 to 1."""
    span = last - first + 1
    used = [0] * parts
    starts = [-(-part * span // parts) for part in range(parts + 1)]
    for mapping in mappings:
        low, high = mapping['first'] - first, mapping['last'] - first + 1
        part = low * parts // span
        while low < high:
            end = min(high, starts[part + 1])
            used[part] += end - low
            low = end
            part += 1
    return [number / max(starts[part + 1] - starts[part], 1)
            for part, number in enumerate(used)]


def scale(mappings, width):
    """An address space drawn with WIDTH characters from the first byte mapped
    to the last: "#" full, "+" at least half, "." less, " " nothing; and these
    two addresses."""
    first, last = mappings[0]['first'], mappings[-1]['last']
    drawn = ''.join(
        ' ' if not share else '#' if share == 1 else '+' if share >= 0.5
        else '.' for share in shares(mappings, first, last, width))
    return drawn, first, last


def _space(space, width):
    """A domain drawn to scale, or why not."""
    title = f"domain {space['domain']}: "
    if space.get('error'):
        return [title + space['error']]
    if not space['mappings']:
        return [title + 'nothing mapped']
    drawn, first, last = scale(space['mappings'], max(width - 4, 8))
    count = f"{len(space['mappings'])} mappings"
    if not space['complete']:
        count = f'the first {count}'
    return [f'{title}{first:#x} to {last:#x}, {count}', f'  [{drawn}]']


def _iommu(iommu, sample, before, width):
    """All of one IOMMU."""
    served = f"thread {iommu['iothread']}" if 'iothread' in iommu \
        else 'main loop'
    where = f"pci on {iommu['primary-bus']}" \
        if iommu['transport'] == 'pci' and 'primary-bus' in iommu \
        else iommu['transport']
    ready = 'driver ready' if iommu['driver-ok'] else 'no driver yet'
    mistakes = _counts(iommu['mistakes'])
    lines = [
        f"{iommu.get('id', iommu['path'])}: {where}, {served}, {ready}, "
        f"bypass {'on' if iommu['bypass'] else 'off'}, "
        f"{size(iommu['granule-bytes'])} granule, "
        f"{iommu['address-bits']} bits",
        f"mapped: {size(iommu['mapped-bytes'])} by {iommu['mappings']} "
        'mappings',
        _requests(iommu, sample, before),
        f"answered other than OK: {_refusals(iommu)}; "
        f"host refused: {iommu['host-refusals']}",
        f"faults: {iommu['faults-reported']} reported, "
        f"{iommu['faults-dropped']} dropped; guest mistakes: {mistakes}",
        *_endpoints(iommu)]
    for space in sample.get('spaces', []):
        if space['path'] == iommu['path']:
            lines += _space(space, width)
    return lines


def lines(sample, before, width):
    """A sample in lines no longer than WIDTH, with rates since the one
    BEFORE, if that is not None."""
    info = sample['pviommu']
    memory = info.get('host-memory')
    head = f"pviommu {info['version']}, QEMU {sample['qemu']}"
    if memory:
        limit = f" of {size(memory['limit-bytes'])}" \
            if 'limit-bytes' in memory else ''
        head += f", pinned {size(memory['pinned-bytes'])}, locked " \
                f"{size(memory['locked-bytes'])}{limit}"
    result = [head + time.strftime(', %H:%M:%S',
                                   time.localtime(sample['time']))]
    for iommu in info['instances']:
        result += ['', *_iommu(iommu, sample, before, width)]
    if not info['instances']:
        result += ['', 'no IOMMU: QEMU was started without -device '
                   'pviommu-pci']
    return [line[:width] for line in result]
