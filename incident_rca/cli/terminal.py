"""What every command shares: its consoles, its options and how an error is told."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_rca.errors import IncidentRcaError

if TYPE_CHECKING:
    from rich.console import Console

    from incident_rca.model import TimeWindow
    from incident_rca.settings import LoadedSettings

PIPED_WIDTH = 100

Json = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but data and errors.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file instead of incident-rca.toml.")
]
From = Annotated[
    str | None, typer.Option("--from", help="Start: 2026-01-15T14:10Z, 14:10, now-2h, '2h ago'.")
]
To = Annotated[str | None, typer.Option("--to", help="End, in the same forms.")]
Zone = Annotated[str | None, typer.Option("--tz", help="Zone of times without an offset.")]
Dsn = Annotated[
    list[str] | None,
    typer.Option(
        "--dsn",
        help="PostgreSQL URI or key=value string, repeatable; default: libpq's environment.",
    ),
]
CaseFolder = Annotated[Path, typer.Argument(metavar="CASE", help="The case folder.")]


def out() -> Console:
    """The console for data."""
    from rich.console import Console

    # Of a dumb terminal rich would not ask how wide it is.
    size = shutil.get_terminal_size((PIPED_WIDTH, 25))
    return Console(
        soft_wrap=False, highlight=False, markup=False, width=size.columns, height=size.lines
    )


def err() -> Console:
    """The console for everything that is not data."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)


def say(text: str, *, quiet: bool = False) -> None:
    """One line to stderr, unless quiet."""
    if not quiet:
        err().print(text, soft_wrap=True)


def print_json(data: Any) -> None:
    """JSON to stdout, ready for another program."""
    import json

    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def tell(error: IncidentRcaError) -> None:
    """An error and its hint to stderr, one line each."""
    from incident_rca.redact import plain

    err().print(f"error: {plain(error.message, 2000)}", soft_wrap=True)
    if error.hint:
        err().print(f"hint: {plain(error.hint, 2000)}", soft_wrap=True)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """What long work calls with each step: a status line on a terminal, nothing elsewhere."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("…") as status:
        yield lambda step: status.update(step)


def settings(config: Path | None) -> LoadedSettings:
    """The settings as flags, environment and files give them."""
    import platformdirs

    from incident_rca.settings import load_settings

    return load_settings(
        config=config,
        environ=os.environ,
        cwd=Path.cwd(),
        user_config_dir=platformdirs.user_config_path("incident-rca"),
    )


def window_of(
    start: str | None, end: str | None, loaded: LoadedSettings, tz: str | None, *, force: bool
) -> TimeWindow | None:
    """The window that the user asked for, or None."""
    from incident_rca.window import parse_window

    return parse_window(
        start=start,
        end=end,
        around=None,
        window=None,
        last=None,
        now=datetime.now(UTC),
        timezone=tz or loaded.settings.timezone,
        force=force,
        max_hours=loaded.settings.max_window_hours,
    )
