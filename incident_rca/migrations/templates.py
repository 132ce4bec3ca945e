"""Marks of template languages in a text that is no SQL: such a file is refused, not guessed at."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HIDDEN = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'"
    r"|(?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=tag)|\Z)",
    re.S,
)
_TEMPLATES = (
    (re.compile(r"\{%-?\s*\w"), "Jinja"),
    (re.compile(r"\{\{"), "Jinja, Handlebars or Go"),
    (re.compile(r"<%[=#-]|<%\s+(?:if|for|end|unless|else)\b"), "ERB"),
    (re.compile(r"\$\{[\w.:-]+\}"), "Flyway or shell"),
)
_VARIABLE = re.compile(r"""(?<![:\w]):(?:'\w+'|"\w+"|[A-Za-z_]\w*)""")


@dataclass(frozen=True, slots=True)
class Template:
    """The first mark of a template, at a character of the text."""

    message: str
    at: int


def template_in(text: str) -> Template | None:
    """The first mark of a template outside of comments and literals.

    >>> template_in("CREATE TABLE {{ name }} (a int)").at
    13
    >>> template_in("SELECT '{{1,2}}'::int[]; SELEC") is None
    True
    """
    bare = _HIDDEN.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    found = [
        (match.start(), language)
        for pattern, language in _TEMPLATES
        if (match := pattern.search(bare))
    ]
    if not found:
        return None
    at, language = min(found)
    mark = " ".join(text[at : at + 30].split("\n")[0].split())
    return Template(f"this is a template ({language}: `{mark}`), not SQL", at)


def variable_in(text: str) -> str:
    """Why a statement with a variable of psql cannot be read; "" without one.

    >>> variable_in("ALTER TABLE :schema.orders ADD COLUMN a int")
    'it has the psql variable :schema'
    >>> variable_in("SELECT a::text FRO b")
    ''
    """
    bare = _HIDDEN.sub(" ", text)
    found = _VARIABLE.search(bare)
    return f"it has the psql variable {found.group()}" if found else ""
