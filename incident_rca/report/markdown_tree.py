"""A Markdown document as a tree, for what writes it in another form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

# The sections of this one are long tables that few read: they are folded where that can be.
FOLDED = "Appendix"
_COMMENT = re.compile(r"\s*<!--.*?-->\s*", re.S)


@dataclass(frozen=True, slots=True)
class Part:
    """Blocks of a document that stand together; `title` is that of a part to be folded, else ""."""

    title: str
    blocks: tuple[SyntaxTreeNode, ...]


def tree_of(text: str) -> SyntaxTreeNode:
    """The document as CommonMark with tables sees it."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return SyntaxTreeNode(parser.parse(text))


def parts_of(tree: SyntaxTreeNode) -> Iterator[Part]:
    """The document in order; each section of the appendix is a part of its own."""
    title, blocks, is_appendix = "", list[SyntaxTreeNode](), False
    for node in tree.children:
        is_section = node.type == "heading" and node.tag in ("h1", "h2")
        if is_section or (is_appendix and node.type == "heading" and node.tag == "h3"):
            yield Part(title, tuple(blocks))
            title, blocks = ("", [node]) if is_section else (words_of(node), [node])
            is_appendix = is_appendix if not is_section else words_of(node) == FOLDED
        else:
            blocks.append(node)
    yield Part(title, tuple(blocks))


def words_of(node: SyntaxTreeNode) -> str:
    """The text of a node without its markup.

    >>> words_of(tree_of("a **b** `c`"))
    'a b c'
    """
    if node.type in ("text", "code_inline", "fence", "code_block"):
        return node.content
    if node.type in ("softbreak", "hardbreak"):
        return " "
    return "".join(words_of(child) for child in node.children)


def is_comment(node: SyntaxTreeNode) -> bool:
    """Whether a piece of HTML is a comment, which nobody sees."""
    return bool(_COMMENT.fullmatch(node.content))
