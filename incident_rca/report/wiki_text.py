"""A Markdown document in the wiki markup of Jira and Confluence, with nothing of it lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from markdown_it.tree import SyntaxTreeNode

from incident_rca.report.markdown_tree import Part, is_comment, parts_of, tree_of

# Atlassian's "Text Formatting Notation Guide": what a backslash takes its meaning from.
_SPECIAL = re.compile(
    r"""
      [{}\[\]|!^~]                             # macros, links, cells, pictures, raised and lowered
    | (?<!\w)[*_+?-]+(?=\S) | (?<=\S)[*_+?-]+(?!\w)   # emphasis; inside a word these are none
    | \((?=(?:[!xinyo?/+*-]|off|on)\))         # (x): a picture
    | [:;](?=[()PD])                           # :) and its like
    """,
    re.X,
)
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LINE_START = re.compile(r"(?:[-*\#|]|(?:h[1-6]|bq)(?=\.))")
_BESIDE = re.compile(r"[\w./-]+\.(?:png|svg|jpe?g|gif)")
_LANGUAGES = {"sql": "sql", "sh": "bash"}


def to_wiki(text: str, *, folds: bool) -> str:
    """The document in wiki markup; where it `folds`, long sections open on demand (Confluence)."""
    written = (_part(part, folds=folds) for part in parts_of(tree_of(text)))
    return "\n\n".join(part for part in written if part) + "\n"


def _part(part: Part, *, folds: bool) -> str:
    blocks = part.blocks[1:] if part.title and folds else part.blocks
    text = "\n\n".join(block for block in map(_block, blocks) if block)
    if not (part.title and folds):
        return text
    title = re.sub(r"[{}|]", " ", part.title)
    return f"{{expand:title={title}}}\n{text}\n{{expand}}"


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "heading":
            return f"{node.tag}. {_inline(node.children)}"
        case "paragraph":
            return _at_line_start(_inline(node.children))
        case "bullet_list" | "ordered_list":
            return "\n".join(_items(node, ""))
        case "table":
            return "\n".join(_rows(node))
        case "fence" | "code_block":
            return _code(node)
        case "blockquote":
            return "{quote}\n" + "\n".join(_block(child) for child in node.children) + "\n{quote}"
        case "hr":
            return "----"
        case "html_block":
            return "" if is_comment(node) else _escaped(" ".join(node.content.split()))
    return _inline(node.children)


def _items(node: SyntaxTreeNode, above: str) -> Iterator[str]:
    """The lines of a list; one inside another repeats the marks of those around it."""
    mark = above + ("*" if node.type == "bullet_list" else "#")
    for item in node.children:
        is_told = bool(item.children) and item.children[0].type == "paragraph"
        yield f"{mark} {_inline(item.children[0].children) if is_told else ''}".rstrip()
        for child in item.children[is_told:]:
            if child.type in ("bullet_list", "ordered_list"):
                yield from _items(child, mark)
            else:
                yield _block(child)


def _rows(table: SyntaxTreeNode) -> Iterator[str]:
    for group in table.children:
        for row in group.children:
            bar = "||" if group.type == "thead" else "|"
            cells = (_at_line_start(_inline(cell.children)) or " " for cell in row.children)
            yield bar + bar.join(cells) + bar


def _code(node: SyntaxTreeNode) -> str:
    content = node.content.rstrip("\n")
    language = _LANGUAGES.get(node.info.strip())
    if language is None or "{code" in content:
        # What would end the block is told from it by a blank.
        return "{noformat}\n" + content.replace("{noformat", "{ noformat") + "\n{noformat}"
    return f"{{code:{language}}}\n{content}\n{{code}}"


def _inline(nodes: Iterable[SyntaxTreeNode]) -> str:
    return "".join(_phrase(node) for node in nodes)


def _phrase(node: SyntaxTreeNode) -> str:
    inside = _inline(node.children)
    match node.type:
        case "text":
            return _escaped(node.content)
        case "code_inline":
            return f"{{{{{_escaped(node.content)}}}}}"
        case "strong":
            return f"*{inside}*"
        case "em":
            return f"_{inside}_"
        case "s":
            return f"-{inside}-"
        case "softbreak":
            return " "
        case "hardbreak":
            return "\\\\\n"
        case "link":
            return f"[{inside}|{node.attrs.get('href', '')}]"
        case "image":
            return f"{_picture(str(node.attrs.get('src', '')))} {inside}".rstrip()
        case "html_inline":
            return "" if is_comment(node) else _escaped(node.content)
    return inside


def _picture(address: str) -> str:
    """A file beside the report by its name, as an attachment has it; else the address alone."""
    return f"!{address.rsplit('/')[-1]}!" if _BESIDE.fullmatch(address) else _escaped(address)


def _escaped(text: str) -> str:
    """One line of text that means nothing but itself.

    >>> print(_escaped(r"GET /api/{sku} [L0338] *x* a\\b stock_reservations -0.5 (x)"))
    GET /api/\\{sku\\} \\[L0338\\] \\*x\\* a&bsol;b stock_reservations \\-0.5 \\(x)
    """
    parts = _ENTITY.sub("&amp;", text).split("\\")
    # Two backslashes are a line break, so one has to be an entity.
    return "&bsol;".join(_SPECIAL.sub(_with_backslashes, part) for part in parts)


def _with_backslashes(match: re.Match[str]) -> str:
    return "".join("\\" + character for character in match[0])


def _at_line_start(text: str) -> str:
    """A line that begins no list, table, heading or quotation by what it begins with."""
    match = _LINE_START.match(text)
    if match is None or (text.startswith("*") and not re.match(r"\*+\s", text)):
        return text
    return f"{match[0]}\\{text[match.end() :]}" if match[0].isalnum() else f"\\{text}"
