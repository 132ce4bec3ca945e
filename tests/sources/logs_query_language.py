"""The parts of CloudWatch's two languages that are asked in, as SQL over a table of events.

Logs Insights: parse (glob), filter, fields, stats, sort, limit. Filter patterns: JSON conditions,
terms, a regular expression. Anything else raises Malformed, as the services refuse it: a stand-in
that answered nevertheless would prove nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd]\b)?"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|`(?P<quoted>[^`]+)`"
    r"|(?P<name>@?[A-Za-z_][\w.]*)"
    r"|(?P<sign>>=|<=|!=|[=<>(),*/+-]))"
)
NUMERIC: dict[str, Callable[..., str]] = {
    "floor": lambda x: f"floor({x})",
    "ceil": lambda x: f"ceil({x})",
    "log": lambda x: f"ln({x})",
    "greatest": lambda *x: f"greatest({', '.join(x)})",
    "least": lambda *x: f"least({', '.join(x)})",
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Malformed(Exception):
    """A text that is not of the language, or not of the part that is known here."""


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Sql:
    """An expression; `kind` is `text`, `number`, `condition` or `time`."""

    text: str
    kind: str = "text"

    @property
    def number(self) -> str:
        return self.text if self.kind == "number" else f"try_cast({self.text} AS DOUBLE)"


@dataclass
class Statement:
    """A query of Logs Insights as SQL over `events` (at_ms, ingested, id, stream, message)."""

    paths: list[str] = field(default_factory=list)
    parsed: str = ""
    names: dict[str, Sql] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    aggregates: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    order: str = ""
    limit: int | None = None

    def discovered(self, name: str) -> Sql:
        """A field of a line that is a JSON object: nested keys are joined by dots."""
        if name in self.names:
            return self.names[name]
        own = {"@message": "message", "@logStream": "stream"}
        if name in own:
            return Sql(own[name])
        if name == "@timestamp":
            return Sql("at_ms", "number")
        if name not in self.paths:
            self.paths.append(name)
        at = [p for known in self.paths for p in _paths_of(known)].index(_paths_of(name)[0])
        return Sql(f"coalesce(found[{at + 1}], found[{at + len(_paths_of(name))}])")

    def rows(self, events: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The events that the query's filters let pass, with what it needs of them."""
        paths = [p for name in self.paths for p in _paths_of(name)]
        found = f"json_extract_string(message, [{', '.join(map(literal, paths))}])"
        json = f"CASE WHEN json_valid(message) THEN {found} END AS found" if paths else "NULL found"
        passed = " AND ".join(f"({c})" for c in ["true", *self.conditions])
        return events.project(f"*, {json}, {self.parsed or 'NULL AS cut'}").filter(passed)

    def answer(self, rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
        """The rows as the query's last commands make them; the last column counts records."""
        if self.aggregates:
            columns = [*self.groups.values(), *self.aggregates, "count(*) AS matched"]
            rows = rows.aggregate(", ".join(columns), ", ".join(self.groups))
        else:
            columns = [*(self.columns or ['message AS "@message"']), "1 AS matched"]
            rows = rows.project(", ".join(columns))
        if self.order or self.aggregates:
            rows = rows.order(self.order or "1")
        return rows


def _paths_of(name: str) -> list[str]:
    """Where a field may stand: a key that has dots itself, or nested keys."""
    return [f'$."{name}"', f"$.{_path(name)}"] if "." in name else [f'$."{name}"']


def _path(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))


@dataclass
class Reader:
    """Reads one command's expressions."""

    statement: Statement
    tokens: list[re.Match[str]]
    at: int = 0

    @staticmethod
    def of(statement: Statement, text: str) -> Reader:
        tokens, at = [], 0
        text = text.strip()
        while at < len(text):
            token = TOKEN.match(text, at)
            if token is None:
                raise Malformed(f"unexpected symbol at: {text[at : at + 20]}")
            tokens.append(token)
            at = token.end()
        return Reader(statement, tokens)

    def peek(self) -> str:
        return self.tokens[self.at][0].strip() if self.at < len(self.tokens) else ""

    def take(self, wanted: str) -> bool:
        if self.peek().lower() == wanted:
            self.at += 1
            return True
        return False

    def need(self, wanted: str) -> None:
        if not self.take(wanted):
            raise Malformed(f"{wanted} expected at: {self.peek() or 'the end'}")

    def end(self) -> None:
        if self.at != len(self.tokens):
            raise Malformed(f"unexpected: {self.peek()}")

    def condition(self) -> Sql:
        left = self.both()
        while self.take("or"):
            left = Sql(f"({left.text} OR {self.both().text})", "condition")
        return left

    def both(self) -> Sql:
        left = self.comparison()
        while self.take("and"):
            left = Sql(f"({left.text} AND {self.comparison().text})", "condition")
        return left

    def comparison(self) -> Sql:
        if self.take("not"):
            there = self.comparison()
            if there.kind != "condition":
                raise Malformed("not: a condition is expected")
            return Sql(f"(NOT {there.text})", "condition")
        left = self.sum()
        sign = self.peek()
        if sign in ("=", "!=", "<", ">", "<=", ">="):
            self.at += 1
            right = self.sum()
            if "number" in (left.kind, right.kind):
                return Sql(f"{left.number} {sign} {right.number}", "condition")
            return Sql(f"{left.text} {sign} {right.text}", "condition")
        return left

    def sum(self) -> Sql:
        left = self.product()
        while (sign := self.peek()) in ("+", "-"):
            self.at += 1
            left = Sql(f"({left.number} {sign} {self.product().number})", "number")
        return left

    def product(self) -> Sql:
        left = self.primary()
        while (sign := self.peek()) in ("*", "/"):
            self.at += 1
            left = Sql(f"({left.number} {sign} {self.primary().number})", "number")
        return left

    def primary(self) -> Sql:
        if self.at >= len(self.tokens):
            raise Malformed("unexpected end of the query")
        token = self.tokens[self.at]
        self.at += 1
        if token["sign"] == "(":
            inside = self.condition()
            self.need(")")
            return Sql(f"({inside.text})", inside.kind)
        if token["number"]:
            return Sql(token["number"], "number")
        if token["text"]:
            return Sql(literal(token["text"][1:-1]))
        if token["quoted"]:
            return self.statement.discovered(token["quoted"])
        if not token["name"]:
            raise Malformed(f"unexpected: {token[0].strip()}")
        if self.take("("):
            return self.call(token["name"].lower())
        return self.statement.discovered(token["name"])

    def call(self, name: str) -> Sql:
        if name == "bin":
            unit = self.tokens[self.at]
            if not unit["unit"]:
                raise Malformed("bin needs a period")
            self.at += 1
            self.need(")")
            width = int(unit["number"]) * UNITS[unit["unit"]] * 1000
            start = f"make_timestamp((at_ms // {width}) * {width} * 1000)"
            return Sql(f"strftime({start}, '%Y-%m-%d %H:%M:%S.%g')", "time")
        arguments = [self.sum()]
        while self.take(","):
            arguments.append(self.sum())
        self.need(")")
        if name == "ispresent":
            return Sql(f"(({arguments[0].text}) IS NOT NULL)", "condition")
        if name == "tomillis":
            if arguments[0].text != "at_ms":
                raise Malformed("toMillis: a timestamp is expected")
            return arguments[0]
        if name not in NUMERIC:
            raise Malformed(f"unknown function: {name}")
        return Sql(NUMERIC[name](*(a.number for a in arguments)), "number")


def read_query(text: str) -> Statement:
    """The statement of a query; raises Malformed."""
    statement = Statement()
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    commands = re.findall(r"(?:[^|'\"`/]|'[^']*'|\"[^\"]*\"|`[^`]*`|/)+", bare)
    for command in commands:
        word, _, rest = command.strip().partition(" ")
        known = {
            "parse": _parse,
            "filter": _filter,
            "fields": _fields,
            "stats": _stats,
            "sort": _sort,
            "limit": _limit,
        }.get(word.lower())
        if known is None:
            raise Malformed(f"unexpected symbol: {word}")
        known(statement, rest)
    return statement


def _parse(statement: Statement, rest: str) -> None:
    found = re.fullmatch(
        r"@message\s+('[^']*'|\"[^\"]*\")\s+as\s+(\w+(?:\s*,\s*\w+)*)", rest.strip()
    )
    if found is None:
        raise Malformed("parse: @message, a glob and names are expected")
    pieces = found[1][1:-1].split("*")
    names = [name.strip() for name in found[2].split(",")]
    if len(names) != len(pieces) - 1:
        raise Malformed("parse: as many names as wildcards are expected")
    groups = ["(.*?)" if piece else "(.*)" for piece in pieces[1:]]
    regex = re.escape(pieces[0]) + "".join(
        group + re.escape(piece) for group, piece in zip(groups, pieces[1:], strict=True)
    )
    regex = literal("(?s)" + regex.replace("\\ ", " "))
    listed = ", ".join(literal(name) for name in names)
    statement.parsed = (
        f"CASE WHEN regexp_matches(message, {regex}) "
        f"THEN regexp_extract(message, {regex}, [{listed}]) END AS cut"
    )
    for name in names:
        statement.names[name] = Sql(f"cut.{name}")


def _filter(statement: Statement, rest: str) -> None:
    reader = Reader.of(statement, rest)
    condition = reader.condition()
    reader.end()
    if condition.kind != "condition":
        raise Malformed("filter: a condition is expected")
    statement.conditions.append(condition.text)


def _fields(statement: Statement, rest: str) -> None:
    reader = Reader.of(statement, rest)
    while True:
        start = reader.at
        value = reader.sum()
        name = reader.tokens[start][0].strip().strip("`")
        if reader.take("as"):
            name = reader.peek()
            reader.at += 1
            statement.names[name] = value
        statement.columns.append(f'{value.text} AS "{name}"')
        if not reader.take(","):
            reader.end()
            return


def _stats(statement: Statement, rest: str) -> None:
    reader = Reader.of(statement, rest)
    statement.aggregates.append(_aggregate(reader))
    while reader.take(","):
        statement.aggregates.append(_aggregate(reader))
    if reader.take("by"):
        while True:
            start = reader.at
            value = reader.sum()
            name = "".join(t[0].strip() for t in reader.tokens[start : reader.at]).strip("`")
            if reader.take("as"):
                name = reader.peek()
                reader.at += 1
            statement.groups[value.text] = f'{value.text} AS "{name}"'
            if not reader.take(","):
                break
    reader.end()


def _aggregate(reader: Reader) -> str:
    name = reader.peek().lower()
    reader.at += 1
    if name not in ("count", "sum", "min", "max", "avg"):
        raise Malformed(f"unknown aggregate: {name}")
    reader.need("(")
    value = "*" if reader.take("*") else reader.sum().number
    reader.need(")")
    alias = f"{name}({value})"
    if reader.take("as"):
        alias = reader.peek()
        reader.at += 1
    return f'{name}({value}) AS "{alias}"'


def _sort(statement: Statement, rest: str) -> None:
    found = re.fullmatch(r"([\w@.]+)(\s+(?:asc|desc))?", rest.strip())
    if found is None:
        raise Malformed("sort: one field is expected")
    statement.order = f'"{found[1]}"{found[2] or ""}'


def _limit(statement: Statement, rest: str) -> None:
    if not rest.strip().isdigit():
        raise Malformed("limit: a number is expected")
    statement.limit = int(rest)


# --- filter patterns --------------------------------------------------------------------------

CONDITION = re.compile(
    r"\(?\s*\$\.(?P<path>\w+(?:\.\w+)*)\s*(?P<sign>=|!=|>=|<=|>|<)\s*"
    r"(?:\"(?P<text>[^\"]*)\"|(?P<number>[\w.*-]+))\s*\)?"
)


def read_pattern(pattern: str) -> str:
    """A filter pattern as a condition over `message`; raises Malformed."""
    pattern = pattern.strip()
    if len(pattern) > 1024:
        raise Malformed("longer than 1024 characters")
    if not pattern:
        return "true"
    if pattern.startswith("{") and pattern.endswith("}"):
        parts = re.split(r"(\|\||&&)", pattern[1:-1].strip())
        words = {"||": "OR", "&&": "AND"}
        return " ".join(words.get(part) or _json_condition(part.strip()) for part in parts)
    if pattern.startswith("%") and pattern.endswith("%"):
        if not re.fullmatch(r"[A-Za-z0-9_#=@/;,^$?\[\]{}|\\*+.-]+", pattern[1:-1]):
            raise Malformed("an unsupported character in a regular expression")
        return f"regexp_matches(message, {literal(pattern[1:-1])})"
    if not re.fullmatch(r"(?:\??\"[^\"]+\"\s*)+", pattern):
        raise Malformed("terms are expected")
    terms = re.findall(r"(\??)\"([^\"]+)\"", pattern)
    found = [f"contains(message, {literal(text)})" for _, text in terms]
    return (" OR " if terms[0][0] else " AND ").join(found)


def _json_condition(text: str) -> str:
    found = CONDITION.fullmatch(text)
    if found is None:
        raise Malformed(f"no condition: {text}")
    path = literal("$." + _path(found["path"]))
    is_text = found["text"] is not None
    value = found["text"] if is_text else found["number"]
    kinds = "('VARCHAR')" if is_text else "('BIGINT', 'UBIGINT', 'DOUBLE')"
    there = f"json_extract_string(message, {path})"
    if "*" in value or is_text:
        if found["sign"] not in ("=", "!="):
            raise Malformed("a text is equal or not")
        regex = literal("^" + re.escape(value).replace("\\*", ".*") + "$")
        compared = f"regexp_matches({there}, {regex})"
        compared = compared if found["sign"] == "=" else f"NOT {compared}"
    else:
        compared = f"try_cast({there} AS DOUBLE) {found['sign']} {float(value)}"
    matches = f"json_type(message, {path}) IN {kinds} AND {compared}"
    return f"(CASE WHEN json_valid(message) THEN {matches} ELSE false END)"
