"""A Markdown document as text alone, for what shows no markup at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from markdown_it.tree import SyntaxTreeNode

from incident_rca.report.markdown_tree import is_comment, tree_of

_UNDERLINES = {"h1": "=", "h2": "-"}


def to_plain(text: str) -> str:
    """The document without markup; a row of a table is a line, its cells parted by bars."""
    blocks = ("\n".join(_lines(node, "")) for node in tree_of(text).children)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _lines(node: SyntaxTreeNode, indent: str) -> Iterator[str]:
    match node.type:
        case "heading":
            title = _inline(node.children)
            yield title
            if node.tag in _UNDERLINES:
                yield _UNDERLINES[node.tag] * len(title)
        case "paragraph":
            yield from (indent + line for line in _inline(node.children).split("\n"))
        case "bullet_list" | "ordered_list":
            yield from _items(node, indent)
        case "table":
            for group in node.children:
                for row in group.children:
                    yield indent + " | ".join(_inline(cell.children) for cell in row.children)
        case "fence" | "code_block":
            yield from (f"{indent}    {line}" for line in node.content.rstrip("\n").split("\n"))
        case "blockquote":
            for child in node.children:
                yield from _lines(child, f"{indent}> ")
        case "hr":
            yield f"{indent}----"
        case "html_block":
            if not is_comment(node):
                yield indent + " ".join(node.content.split())
        case _:
            yield indent + _inline(node.children)


def _items(node: SyntaxTreeNode, indent: str) -> Iterator[str]:
    for number, item in enumerate(node.children, start=int(node.attrs.get("start", 1))):
        mark = "- " if node.type == "bullet_list" else f"{number}. "
        lines = [line for child in item.children for line in _lines(child, "")]
        for position, line in enumerate(lines or [""]):
            yield indent + (mark if position == 0 else " " * len(mark)) + line


def _inline(nodes: Iterable[SyntaxTreeNode]) -> str:
    return "".join(_phrase(node) for node in nodes)


def _phrase(node: SyntaxTreeNode) -> str:
    if node.type in ("text", "code_inline"):
        return node.content
    if node.type == "softbreak":
        return " "
    if node.type == "hardbreak":
        return "\n"
    if node.type == "html_inline":
        return "" if is_comment(node) else node.content
    inside = _inline(node.children)
    address = node.attrs.get("href" if node.type == "link" else "src")
    return f"{inside} ({address})" if address and address != inside else inside
