"""A plot of cost against tree size: one panel a case, both axes logarithmic, as SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

Series = Mapping[str, Sequence[tuple[float, float]]]
"""Points of each tool: files and CPU seconds."""

_WIDTH: Final = 400
_HEIGHT: Final = 300
_LEFT: Final = 52
_TOP: Final = 34
_BOTTOM: Final = 36
_RIGHT: Final = 84
_LEAST_GAP: Final = 12
"""Between two names at the ends of lines, so that they can be read."""
_COLOURS: Final = ("#0b6e4f", "#b3541e", "#3d5a98", "#8a3b8f", "#7a6a00", "#5d6770", "#a3aab0", "#c2185b")


def plot(panels: Mapping[str, Series]) -> str:
    """Draw the panels beside one another."""
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}
    width, height = _WIDTH * len(panels), _HEIGHT
    drawn = "\n".join(
        f'<g transform="translate({number * _WIDTH} 0)">\n{_panel(title, series, colours)}\n</g>'
        for number, (title, series) in enumerate(panels.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="11" fill="#222">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n{drawn}\n</svg>\n'
    )


def _panel(title: str, series: Series, colours: Mapping[str, str]) -> str:
    points = [point for line in series.values() for point in line]
    xs, ys = _decades(x for x, _ in points), _decades(y for _, y in points)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (right - _LEFT) * (math.log10(x) - xs[0]) / (xs[-1] - xs[0]),
            bottom - (bottom - _TOP) * (math.log10(y) - ys[0]) / (ys[-1] - ys[0]),
        )

    parts = [f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}: CPU seconds</text>']
    for power in ys:
        y = at(10 ** xs[0], 10**power)[1]
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:g}</text>')
    for power in xs:
        x = at(10**power, 10 ** ys[0])[0]
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10**power:,}</text>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">files</text>')
    ends = []
    for name, line in series.items():
        places = [at(x, y) for x, y in line]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>' for x, y in places]
        ends.append((places[-1][1], places[-1][0], name))
    for y, x, name in _apart(sorted(ends)):
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 4:.1f}" fill="{colours[name]}">{escape(name)}</text>')
    return "\n".join(parts)


def _decades(values: Iterator[float]) -> list[int]:
    found = list(values)
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    return list(range(low, max(high, low + 1) + 1))


def _apart(ends: Sequence[tuple[float, float, str]]) -> Iterator[tuple[float, float, str]]:
    lowest: dict[float, float] = {}
    for y, x, name in ends:
        lowest[x] = max(y, lowest.get(x, float("-inf")) + _LEAST_GAP)
        yield lowest[x], x, name
