"""A bar chart with a logarithmic axis, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Final

_WIDTH: Final = 640
_LEFT: Final = 290
_RIGHT: Final = 70
_TOP: Final = 36
_HIGH: Final = 24
"""A bar and the space to the next."""
_OURS: Final = "#1565c0"
_OTHER: Final = "#9e9e9e"


def bars(title: str, values: Mapping[str, float], *, ours: frozenset[str], unit: str) -> str:
    """The chart of some values, in the order in which they are given.

    Args:
        title: stands above.
        values: positive ones by what they are called.
        ours: those that are drawn in the colour that stands for us.
        unit: of the values.
    """
    low, high = math.floor(math.log10(min(values.values()))), math.ceil(math.log10(max(values.values())))
    high = max(high, low + 1)
    bottom = _TOP + _HIGH * len(values)

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (math.log10(value) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 30}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{bottom + 30}" fill="white"/>',
        f'<text x="{_WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        x = across(10.0**power)
        parts += [
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>',
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g} {unit}</text>',
        ]
    for number, (name, value) in enumerate(values.items()):
        y, colour = _TOP + _HIGH * number, _OURS if name in ours else _OTHER
        width = max(1.0, across(value) - _LEFT)
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y + 4}" width="{width:.1f}" height="{_HIGH - 8}" fill="{colour}"/>',
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 16}">{value:.3g}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
