"""PromQL out of the files of `queries/prometheus/`, with names and values quoted."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping

from incident_rca.queries import load_query

_PLAIN_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


def promql(name: str, **values: str) -> str:
    """The query of `queries/prometheus/NAME.toml` with its placeholders filled in, all at once.

    >>> promql("calls", by="code", selector="x_total", window="30s")
    'sum by (code) (increase(x_total[30s]))'
    """
    query: str = tomllib.loads(load_query(f"prometheus/{name}.toml").text)["query"]
    return _PLACEHOLDER.sub(lambda match: values[match[1]], query)


def quoted(text: str) -> str:
    r"""A string of PromQL in double quotes (Go's escapes).

    >>> print(quoted('a"b\\c'))
    "a\"b\\c"
    """
    return '"' + "".join(_ESCAPES.get(c, c) for c in text) + '"'


def selector(metric: str, matchers: str = "") -> str:
    """The series of a metric of any name, with the matchers that the settings have.

    >>> selector("x_total", '{env="prod"}')
    '{__name__="x_total",env="prod"}'
    """
    return _braced(f"__name__={quoted(metric)}", matchers)


def any_of(names: Iterable[str], endings: Iterable[str] = ("",), matchers: str = "") -> str:
    """The series of metrics with these names and endings, in any spelling of their dots.

    >>> any_of(["a.b", "a_b", "c"], ["_sum"])
    '{__name__=~"(a.b|c)(_sum)"}'
    """
    patterns = dict.fromkeys(re.sub(r"[^A-Za-z0-9]", ".", name) for name in names)
    pattern = f"({'|'.join(patterns)})({'|'.join(endings)})".removesuffix("()")
    return _braced(f"__name__=~{quoted(pattern)}", matchers)


def exactly(labels: Mapping[str, str]) -> str:
    """The one series with these labels."""
    return "{" + ",".join(f"{label(name)}={quoted(value)}" for name, value in labels.items()) + "}"


def label(name: str) -> str:
    """A label's name; others than of letters, digits and underscores are quoted (Prometheus 3).

    >>> label("grpc_method"), label("grpc.method")
    ('grpc_method', '"grpc.method"')
    """
    return name if _PLAIN_LABEL.fullmatch(name) else quoted(name)


def duration(seconds: float) -> str:
    """A duration of PromQL, in whole milliseconds.

    >>> duration(30.0), duration(2.5)
    ('30s', '2500ms')
    """
    ms = round(seconds * 1000)
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"


def _braced(first: str, matchers: str) -> str:
    more = matchers.strip()
    if more.startswith("{") and more.endswith("}"):
        more = more[1:-1]
    more = more.strip().strip(",")
    return "{" + (f"{first},{more}" if more else first) + "}"
