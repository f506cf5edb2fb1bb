"""A chart of the ratios, as a small SVG for the documentation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .rounds import Result

WIDTH, LABELS, LINE, TOP = 860, 380, 24, 56
LOW, HIGH = 0.05, 100.0
COLOURS = {"peer": "#2a6f97", "floor": "#8d99ae"}

_STYLE = "text{font:13px system-ui,sans-serif;fill:#222}.small{font-size:11px;fill:#555}"


def advantage(result: Result, other: str) -> float | None:
    """Return how many times better ours is than another: 2 is twice as fast, or half as long."""
    ratio = result.compared(other)
    if not ratio:
        return None
    return ratio if result.row.unit == "1/s" else 1 / ratio


def svg(results: Sequence[Result]) -> str:
    """Draw how many times better ours is than the peer and the floor, on a logarithmic axis."""
    bars: list[str] = []
    y = TOP
    for result in results:
        found = {other: advantage(result, other) for other in COLOURS}
        known = {other: value for other, value in found.items() if value is not None}
        if not known:
            continue
        bars.append(f'<text x="{LABELS - 10}" y="{y + 15}" text-anchor="end">')
        bars.append(f"{escape(result.row.what)}</text>")
        height = (LINE - 6) / len(known)
        for place, (other, value) in enumerate(known.items()):
            bars.append(_bar(y + 2 + place * height, height - 1, value, COLOURS[other]))
        y += LINE
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 12}">'
    return "\n".join([head, f"<style>{_STYLE}</style>", *_axis(y), *_legend(), *bars, "</svg>\n"])


def _x(value: float) -> float:
    """Return where a ratio is on the axis."""
    clipped = min(max(value, LOW), HIGH)
    share = math.log(clipped / LOW) / math.log(HIGH / LOW)
    return LABELS + share * (WIDTH - LABELS - 50)


def _bar(y: float, height: float, value: float, colour: str) -> str:
    left, right = sorted((_x(1), _x(value)))
    text = f'<text class="small" x="{_x(max(value, 1)) + 4:.0f}" y="{y + height / 2 + 4:.0f}">'
    return (
        f'<rect x="{left:.0f}" y="{y:.1f}" width="{max(right - left, 1):.0f}" '
        f'height="{height:.1f}" fill="{colour}"/>{text}{value:.3g}×</text>'
    )


def _axis(bottom: float) -> list[str]:
    lines = []
    for tick in (0.1, 1, 10, 100):
        x = _x(tick)
        lines.append(f'<line x1="{x:.0f}" y1="44" x2="{x:.0f}" y2="{bottom}" stroke="#ccc"/>')
        lines.append(
            f'<text class="small" x="{x:.0f}" y="40" text-anchor="middle">{tick:g}×</text>'
        )
    return lines


def _legend() -> list[str]:
    parts = ['<text x="10" y="20">How many times better (longer bars to the right are better):']
    parts.append("</text>")
    for place, (other, colour) in enumerate(COLOURS.items()):
        x = LABELS + 60 + place * 150
        parts.append(f'<rect x="{x}" y="9" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18}" y="20">than the {other}</text>')
    return parts
