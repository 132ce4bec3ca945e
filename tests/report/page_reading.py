"""report.html read as a browser reads it: elements, attributes, texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = frozenset({"meta", "input", "br", "img", "link", "hr"})


@dataclass
class Element:
    """An element with its attributes, and its children and texts in their order."""

    tag: str
    attributes: dict[str, str]
    content: list[Element | str] = field(default_factory=list)

    def every(self) -> Iterator[Element]:
        """The element and all below it."""
        yield self
        for child in self.content:
            if isinstance(child, Element):
                yield from child.every()

    def all(self, tag: str, class_: str | None = None) -> list[Element]:
        """Those of a tag, and of a class where one is given."""
        return [e for e in self.every() if e.tag == tag and (class_ is None or class_ in e.classes)]

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.content)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"an attribute twice: {attrs}"
        self.open[-1].content.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(page: str) -> Element:
    """The page as a tree; raises AssertionError where a tag is not closed by its own end."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def by_id(page: Element) -> dict[str, Element]:
    """The elements that have an id; raises AssertionError where two have the same."""
    found: dict[str, Element] = {}
    for element in page.every():
        if "id" in element.attributes:
            assert element.attributes["id"] not in found, element.attributes["id"]
            found[element.attributes["id"]] = element
    return found


def data_of(element: Element) -> dict[str, Any]:
    """The data block of a chart or of the panel."""
    (script,) = [s for s in element.all("script") if s.attributes.get("type") == "application/json"]
    document: dict[str, Any] = json.loads(script.text)
    return document


def shape(page: Element) -> list[tuple[str, ...]]:
    """Tags and names of attributes in their order, but for what marks the terms of a glossary."""
    return [
        (element.tag, *sorted(element.attributes))
        for element in _without_terms(page).every()
        if element.tag not in ("script", "style")
    ]


def _without_terms(element: Element) -> Element:
    kept = [
        child if isinstance(child, str) else _without_terms(child)
        for child in element.content
        if isinstance(child, str) or not {"term", "glossary"} & set(child.classes)
    ]
    return Element(element.tag, element.attributes, list(kept))
