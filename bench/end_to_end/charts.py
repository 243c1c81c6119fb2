"""Horizontal bars as SVG, by hand: a chart is one file that shows its own text, on a light page and on a dark one.

It paints its own ground, since the page around an image may be of the other colour than the reader's system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _MARGIN, _ROW, _BAR = 860, 16, 22, 14
_LABELS, _VALUES = 260, 70  # pixels for the names on the left, and for the figures on the right

_STYLE = """
  text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 14px }
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  .uploadkit { fill: #0969da }
  .peer { fill: #afb8c1 }
  .floor { fill: #6e7781 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .ground { fill: #0d1117; stroke: #3d444d }
    .uploadkit { fill: #4493f8 }
    .peer { fill: #6e7681 }
    .floor { fill: #9198a1 }
  }
"""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """`kind` is its colour: "uploadkit", "peer" or "floor". `text` is the value as it is written."""

    label: str
    value: float
    text: str
    kind: str


def chart(title: str, bars: Sequence[Bar]) -> str:
    """The bars in this order, the longest as wide as there is room."""
    longest = max((bar.value for bar in bars), default=0) or 1
    top = _MARGIN + 52
    height = top + _ROW * len(bars) + _MARGIN
    drawn = [_bar(bar, top + _ROW * row, bar.value / longest) for row, bar in enumerate(bars)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
            f'height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
            f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 12}">{escape(title)}</text>',
            *_legend(bars),
            *drawn,
            "</svg>\n",
        ]
    )


def _legend(bars: Sequence[Bar]) -> list[str]:
    kinds = dict.fromkeys(bar.kind for bar in bars)
    y = _MARGIN + 36
    return [
        f'<rect class="{kind}" x="{_MARGIN + 90 * at}" y="{y - 10}" width="10" height="10"/>'
        f'<text x="{_MARGIN + 90 * at + 15}" y="{y}">{escape(kind)}</text>'
        for at, kind in enumerate(kinds)
    ]


def _bar(bar: Bar, y: int, share: float) -> str:
    left = _MARGIN + _LABELS
    length = max(1.0, share * (_WIDTH - left - _VALUES - _MARGIN))
    return (
        f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{bar.kind}" x="{left}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2"/>'
        f'<text x="{left + length + 6:.1f}" y="{y + 11}">{escape(bar.text)}</text>'
    )
