"""The analysis as report.html: one file with its styles and scripts, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from incident_rca.model import Analysis
from incident_rca.redact import plain
from incident_rca.report.numbers import grouped
from incident_rca.report.page.marked_text import FirstUses, lines, visible
from incident_rca.report.page.view import view
from incident_rca.report.safe_text import NOTHING
from incident_rca.report.summary import Sentence
from incident_rca.report.wording import as_sentence

TEMPLATE = "page.html.j2"
STYLES = ("page.css", "timeline.css", "panel.css")
# `theme.js` runs before anything is drawn, the others once all is there.
FIRST_SCRIPTS = ("theme.js",)
SCRIPTS = ("popover.js", "tables.js", "timeline.js", "panel.js")


def to_html(analysis: Analysis) -> str:
    """report.html, the same on each run."""
    template = _environment().get_template(TEMPLATE)
    text = template.render(**view(analysis), **_assets(), first_uses=FirstUses())
    # A lone surrogate, which a log line may hold as an escape, has no UTF-8.
    return text.encode("utf-8", "replace").decode("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("incident_rca.report.page", "templates"),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"lines": lines, "plain": plain, "sentence": as_sentence}
    environment.filters |= {"marked": _marked, "quoted": _quoted, "said": _said}
    return environment


# By their context, because which use of a term is its first is known only as a page is rendered:
# a filter without one is called on texts of the template while that is compiled.
@pass_context
def _marked(context: Context, text: str) -> Markup:
    return _first_uses(context).marked(text)


@pass_context
def _quoted(context: Context, text: str) -> Markup:
    return _first_uses(context).quoted(text)


@pass_context
def _said(context: Context, sentence: Sentence) -> Markup:
    return _first_uses(context).said(sentence)


def _first_uses(context: Context) -> FirstUses:
    found = context["first_uses"]
    assert isinstance(found, FirstUses)
    return found


def _finalized(value: object) -> object:
    """Each value as the page shows it; what is no markup is escaped after this."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return NOTHING
    if isinstance(value, int | float) and not isinstance(value, bool):
        return grouped(value)
    return visible(str(value))


@cache
def _assets() -> dict[str, Any]:
    """The styles and scripts, and the policy under which a browser runs these and nothing else."""
    style = "\n".join(_asset(name) for name in STYLES)
    first, last = ("\n".join(map(_asset, names)) for names in (FIRST_SCRIPTS, SCRIPTS))
    return {
        "style": Markup(style),
        "first_script": Markup(first),
        "last_script": Markup(last),
        "policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src {_hash_of(first)} {_hash_of(last)}",
                f"style-src {_hash_of(style)}",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "require-trusted-types-for 'script'",
            )
        ),
    }


def _asset(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
