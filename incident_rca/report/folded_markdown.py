"""A report in the Markdown of GitHub and GitLab: warnings stand out, long sections are folded."""

from __future__ import annotations

import html

from markdown_it.tree import SyntaxTreeNode

from incident_rca.report.markdown_tree import parts_of, tree_of, words_of

WARNING = "Warning:"


def to_folded(text: str, warning: str) -> str:
    """The document with `<details>` around each section of its appendix; `warning` marks a box."""
    lines = text.split("\n")
    tree = tree_of(text)
    for node in tree.children:
        if _is_warning(node) and node.map:
            first, last = node.map
            said = [f"> {line}" for line in lines[first:last]]
            said[0] = said[0].replace(f"**{WARNING}** ", "", 1)
            lines[first:last] = [f"> [!{warning}]\n{said[0]}", *said[1:]]
    for part in parts_of(tree):
        if part.title and part.blocks[0].map and part.blocks[-1].map:
            heading, end = part.blocks[0].map, part.blocks[-1].map[1]
            summary = f"<details>\n<summary>{html.escape(part.title)}</summary>\n"
            lines[heading[0]] = summary
            lines[end - 1] += "\n\n</details>"
    return "\n".join(lines)


def _is_warning(node: SyntaxTreeNode) -> bool:
    if node.type != "paragraph":
        return False
    first = next((child for child in node.children[0].children if words_of(child)), None)
    return first is not None and first.type == "strong" and words_of(first) == WARNING
