"""Pieces of a Vega-Lite specification: a picture of fixed size, and marks at places of it.

Its size and the places of all texts are stated, none follows from how wide a font is: the same
specification gives the same SVG on a machine with other fonts, or with none. Colours differ in
lightness and lines in their dashes, so that they can be told apart in black and white.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from incident_rca.report.safe_text import clean

Spec = dict[str, Any]
Row = Mapping[str, object]

# As wide as a ticket shows a picture without making it smaller.
WIDTH = 700
LEFT, RIGHT = 52, 676
# The first one is in the converter. The others are what systems without it have: Arial is as wide.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
TEXT, SMALL, LARGE = 11, 10, 12
BLACK, DARK, MIDDLE, LIGHT, PALE = "#000000", "#444444", "#9a9a9a", "#d4d4d4", "#ebebeb"
# How wide glyphs of that font are, in shares of its size; bold ones are a little wider.
_WIDTHS = {"ijl'|": 0.23, " .,:;!/ftI[]()-r": 0.31, "mMW@%…": 0.88, "w": 0.73}
_GLYPHS = {glyph: width for glyphs, width in _WIDTHS.items() for glyph in glyphs}
_CAPITAL, _OTHER, _BOLD = 0.69, 0.55, 1.07


@dataclass(frozen=True, slots=True)
class Stroke:
    """How a line is drawn."""

    colour: str
    width: float
    dash: tuple[int, ...] = (1, 0)

    @property
    def spec(self) -> Spec:
        return {
            "color": self.colour,
            "strokeWidth": self.width,
            "strokeDash": list(self.dash),
        }


STROKES = (
    Stroke("#10243e", 1.8),
    Stroke("#c2570c", 1.6, (6, 3)),
    Stroke("#2f7fae", 1.8, (2, 2)),
    Stroke("#8a8a8a", 1.4, (9, 2, 2, 2)),
)


def picture(layers: Sequence[Spec], height: float, said: str) -> Spec:
    """The specification of a picture of these layers, WIDTH wide; `said` is its description."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": said,
        "width": WIDTH,
        "height": height,
        "autosize": "none",
        "padding": 0,
        "background": "white",
        "config": {"font": FONT, "view": {"stroke": None}},
        "layer": list(layers),
        "resolve": {"scale": {"y": "independent"}, "axis": {"y": "independent"}},
    }


def marks(rows: Iterable[Row], mark: Spec, encoding: Spec) -> Spec:
    """A layer: one mark a row (or a line through all of them), placed by the fields of the rows."""
    return {"data": {"values": [dict(row) for row in rows]}, "mark": mark, "encoding": encoding}


def at(dots: float) -> Spec:
    """A place in the picture, in dots from its left or upper edge."""
    return {"value": round(dots, 2)}


def dots(field: str) -> Spec:
    """A field whose values are places in dots."""
    return {"field": field, "type": "quantitative", "scale": None, "axis": None}


def texts(
    said: Iterable[tuple[float, float, str]], *, size: float, bold: bool, colour: str
) -> Spec:
    """Lines of text of one kind, each from `x` on with its middle at `y`."""
    mark = {
        "type": "text",
        "align": "left",
        "baseline": "middle",
        "fontSize": size,
        "fontWeight": "bold" if bold else "normal",
        "color": colour,
    }
    rows = ({"x": round(x, 2), "y": round(y, 2), "text": text} for x, y, text in said)
    text = {"field": "text", "type": "nominal"}
    return marks(rows, mark, {"x": dots("x"), "y": dots("y"), "text": text})


def text(
    x: float, y: float, said: str, *, size: float = TEXT, bold: bool = False, colour: str = BLACK
) -> Spec:
    """One line of text."""
    return texts([(x, y, said)], size=size, bold=bold, colour=colour)


def rule(x: float, y: float, x2: float, y2: float, stroke: Stroke) -> Spec:
    """A straight line between two places."""
    places = {"x": at(x), "x2": at(x2), "y": at(y), "y2": at(y2)}
    return marks([{}], {"type": "rule", **stroke.spec}, places)


def box(x: float, y: float, x2: float, y2: float, *, fill: str, stroke: str) -> Spec:
    """A rectangle between two places."""
    mark = {"type": "rect", "fill": fill, "stroke": stroke, "strokeWidth": 1}
    return marks([{}], mark, {"x": at(x), "x2": at(x2), "y": at(y), "y2": at(y2)})


def width_of(said: str, size: float = TEXT, *, bold: bool = False) -> float:
    """About how wide a text is drawn, rather too wide than too narrow."""
    return sum(map(_glyph, said)) * size * (_BOLD if bold else 1.0)


def _glyph(glyph: str) -> float:
    if unicodedata.east_asian_width(glyph) in "WF":
        return 1.0
    return _GLYPHS.get(glyph, _CAPITAL if glyph.isupper() else _OTHER)


def fitting(said: str, room: float, size: float = TEXT, *, bold: bool = False) -> str:
    """`said` on one line, cut to the room that there is."""
    shown = clean(said)
    if width_of(shown, size, bold=bold) <= room:
        return shown
    while shown and width_of(f"{shown}…", size, bold=bold) > room:
        shown = shown[:-1]
    return f"{shown.rstrip()}…" if shown else ""
