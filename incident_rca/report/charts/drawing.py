"""A chart's specification -> its SVG and PNG, without a browser, fonts or the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

import vl_convert

# The newest that the converter has; another one may draw the same specification another way.
VEGA_LITE = "6.4"
# Twice as many dots as a ticket has: on dense screens texts stay sharp.
SCALE = 2.0


def to_svg(spec: Mapping[str, Any]) -> str:
    """The picture as SVG text; the same one for the same specification, on any machine."""
    drawn = vl_convert.vegalite_to_svg(dict(spec), vl_version=VEGA_LITE)
    # Vega itself leaves the description out of an SVG.
    said = quoteattr(spec["description"])
    return drawn.replace("<svg ", f'<svg role="img" aria-label={said} ', 1) + "\n"


def to_png(svg: str) -> bytes:
    """The picture as PNG, SCALE times as large."""
    return vl_convert.svg_to_png(svg, scale=SCALE)
