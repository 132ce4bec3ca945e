"""A TOML file whose keys and values are checked, with messages that say where they stand."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from incident_rca.errors import BadSettings

Reader = Callable[[object], Any]
Place = tuple[str | int, ...]

# Some thousand routes and services, with all that can be said of each.
LARGEST_BYTES = 1 << 20
# TOML's reader takes a time that is quadratic in the parts of a dotted name.
MOST_STEPS = 100
_LONG_NAME = re.compile(r"(?<![\w.\"'\- \t])(?:[ \t]*+[\w\"'-]++[ \t]*+\.)" f"{{{MOST_STEPS}}}")


class Unfit(Exception):
    """A value is not what its key expects; the text says what that is."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file that can say where one of its keys stands."""

    path: Path
    text: str

    def refuse(self, place: Place, what: str, *, hint: str = "") -> NoReturn:
        """Raises BadSettings: `what`, then the file and, if it can be found, the line."""
        line = _line_of(self.text, place)
        where = f"{self.path}, line {line}" if line else str(self.path)
        raise BadSettings(f"{what} in {where}", hint=hint)

    def read(self, place: Place, value: object, reader: Reader) -> Any:
        """What `reader` makes of the value that stands at `place`."""
        try:
            return reader(value)
        except Unfit as error:
            self.refuse(place, f"`{dotted(place)}` must be {error}: got {shown(value)}")

    def table(self, place: Place, value: object, known: Iterable[str] | None) -> dict[str, Any]:
        """`value` as a table with only `known` keys (None: any)."""
        if not isinstance(value, dict):
            self.refuse(place, f"`{dotted(place)}` must be a table: got {shown(value)}")
        names = tuple(value if known is None else known)
        for key in value:
            if key not in names:
                hint = nearest(key, names) or f"known here: {', '.join(names)}"
                self.refuse((*place, key), f"unknown key `{dotted((*place, key))}`", hint=hint)
        return value


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word most like `name`, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def shown(value: object) -> str:
    """A value short enough for a message; of tables and lists only what they are."""
    match value:
        case dict():
            return "a table"
        case list():
            return f"a list of {len(value)}"
        case str() if "password" in value or "://" in value:
            return "a text that may hold a secret"
        case str() if len(value) > 60:
            return f"a text of {len(value)} characters"
        case int() if abs(value) > 10**18:
            return "a very large number"
    return repr(value)


def dotted(place: Place) -> str:
    """The place as a reader writes it, lists counted from 1.

    >>> dotted(("routes", 0, "calls"))
    'routes[1].calls'
    """
    text = ""
    for step in place:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]")
_KEY = re.compile(r"\s*([^\s=\[\]#][^=\[\]#]*?)\s*=")


def _line_of(text: str, place: Place) -> int | None:
    """The line (from 1) where a key stands, as far as a look at the lines can tell."""
    table: Place = ()
    counts: dict[Place, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _steps(header[2])
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            if table[: len(place)] == place:
                return number
        elif (key := _KEY.match(line)) and (*table, *_steps(key[1]))[: len(place)] == place:
            return number
    return None


def _steps(name: str) -> Place:
    return tuple(step.strip(" \t\"'") for step in name.split("."))


def read_document(path: Path) -> tuple[Document, dict[str, Any]]:
    """The file and what its TOML says; raises BadSettings if it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise _endless(path, f"is larger than {LARGEST_BYTES >> 20} MiB")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSettings(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadSettings(
            f"cannot read the settings file {path}: {reason}",
            hint="name a file that is there, or leave --config and $INCIDENT_RCA_CONFIG out",
        ) from error
    if found := _LONG_NAME.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise _endless(path, f"line {line} has a name of more than {MOST_STEPS} parts")
    try:
        return Document(path, text), tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise BadSettings(f"{path} is not valid TOML: {reason}", hint="see toml.io") from error


def _endless(path: Path, what: str) -> BadSettings:
    return BadSettings(f"{path}: {what}, which no settings have", hint="is it the file you meant?")
