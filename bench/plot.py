"""A line plot with logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 400, 70, 50, 40, 20
_COLOURS = ("#1565c0", "#c62828", "#616161")

Points = Sequence[tuple[float, float]]


def plot(title: str, across: str, up: str, lines: Mapping[str, Points], *, dashed: str = "") -> str:
    """The plot of some lines.

    Args:
        dashed: the name of the line that is only there to compare with.
    """
    points = [point for line in lines.values() for point in line]
    xs, ys = _decades([x for x, _ in points]), _decades([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * _part(x, xs),
            _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * _part(y, ys),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{escape(title)}</text>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="15" y="{_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 15 {_HEIGHT / 2})">'
        f"{escape(up)}</text>",
    ]
    for power in range(*xs):
        parts += _rule(
            place(10**power, 10 ** ys[0]), place(10**power, 10 ** (ys[1] - 1)), f"{10**power:,g}", 0, 16
        )
    for power in range(*ys):
        parts += _rule(
            place(10 ** xs[0], 10**power), place(10 ** (xs[1] - 1), 10**power), f"{10.0**power:g}", -8, 4
        )
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [place(x, y) for x, y in line]
        track = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        style = ' stroke-dasharray="5 4"' if name == dashed else ""
        parts.append(f'<polyline points="{track}" fill="none" stroke="{colour}" stroke-width="2"{style}/>')
        if name != dashed:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        parts.append(
            f'<text x="{_LEFT + 12}" y="{_TOP + 16 + 16 * number}" fill="{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """First power of ten, and the one after the last, as `range` takes them."""
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1


def _part(value: float, decades: tuple[int, int]) -> float:
    first, after = decades
    return (math.log10(value) - first) / (after - 1 - first)


def _rule(
    one: tuple[float, float], other: tuple[float, float], label: str, right: float, down: float
) -> list[str]:
    (x1, y1), (x2, y2) = one, other
    anchor = "end" if right else "middle"
    return [
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>',
        f'<text x="{x1 + right:.1f}" y="{y1 + down:.1f}" text-anchor="{anchor}">{label}</text>',
    ]
