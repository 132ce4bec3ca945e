"""How deep the tree of a statement may be, by its tokens: the parser follows a tree by recursion.

Its grammar refuses brackets, NOT and all else that opens and waits by itself, from 10,000 on. What
is left is a chain (`a + b + c`, `::int::int`, UNION, JOIN), each link of which is a level: of some
20,000 the process dies.
"""

from __future__ import annotations

import postgast
from postgast import pg_query_pb2 as pb

# Fewer than the half of what the stack of a thread takes, and each link has a token or more.
MOST_LINKS = 10_000
_OPEN = frozenset({pb.ASCII_40, pb.ASCII_91, pb.CASE})
_CLOSED = frozenset({pb.ASCII_41, pb.ASCII_93, pb.END_P})
# Between these stand the items of flat lists: the parser makes one list of an AND of many, too.
_SEPARATORS = frozenset({pb.ASCII_44, pb.AND, pb.OR, pb.WHEN})
# Each of these has all that stands before it below itself, commas and all.
_JOINS = frozenset({pb.UNION, pb.EXCEPT, pb.INTERSECT, pb.JOIN})


def is_too_deep(text: str) -> bool:
    """Whether a statement of a text may be too deep for the parser; raises as `postgast.scan`.

    >>> [is_too_deep(f"SELECT {link * 10_000} 1") for link in ("a + ", "1, ")]
    [True, False]
    """
    # A link has a byte or more.
    if len(text) <= MOST_LINKS:
        return False
    depth = links = joins = 0
    levels: list[tuple[int, int]] = []
    for token in postgast.scan(text).tokens:
        kind = token.token
        if kind == pb.ASCII_59:
            depth = links = joins = 0
            levels.clear()
        elif kind in _SEPARATORS:
            links = 0
        elif kind in _OPEN:
            depth += links + joins
            levels.append((links, joins))
            links = joins = 0
        elif kind in _CLOSED and levels:
            links, joins = levels.pop()
            depth -= links + joins
            links += 1
        elif kind in _JOINS:
            joins += 1
        else:
            links += 1
            if depth + links + joins > MOST_LINKS:
                return True
    return False
