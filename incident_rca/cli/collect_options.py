"""What `collect` and `run` can be told: the window, what to ask, and how long that may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Around = Annotated[str | None, typer.Option("--around", help="Its middle; with --window.")]
Window = Annotated[str | None, typer.Option("--window", help="Its length, with --around: 30m.")]
Last = Annotated[str | None, typer.Option("--last", help="The time up to now: 2h.")]
Recordings = Annotated[
    Path | None,
    typer.Option("--recordings", metavar="FOLDER", help="Where `record --to` writes."),
]
PgwatchDsn = Annotated[
    list[str] | None,
    typer.Option("--pgwatch-dsn", help="Measurements database of pgwatch, repeatable."),
]
PerformanceInsights = Annotated[
    list[str] | None,
    typer.Option(
        "--performance-insights",
        metavar="DB_RESOURCE_ID[@REGION]",
        help="RDS instance whose Performance Insights to ask, repeatable.",
    ),
]
PostgresLog = Annotated[
    list[Path] | None,
    typer.Option("--postgres-log", metavar="FILE", help="Server log to add, repeatable."),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds that one source may take.")
]
TotalTimeout = Annotated[
    float, typer.Option("--total-timeout", min=1, help="Seconds that all may take together.")
]
Title = Annotated[str, typer.Option("--title", help="The incident's title.")]
Force = Annotated[bool, typer.Option("--force", help="Take a window above 24 h.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """The flags of the window, as they were given."""

    start: str | None
    end: str | None
    around: str | None
    window: str | None
    last: str | None
    tz: str | None
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The flags of what to ask and how long that may take in seconds, as they were given."""

    dsn: list[str] | None
    recordings: Path | None
    pgwatch_dsn: list[str] | None
    performance_insights: list[str] | None
    postgres_log: list[Path] | None
    log_line_prefix: str | None
    log_timezone: str | None
    timeout: float
    total_timeout: float


@dataclass(frozen=True, slots=True)
class How:
    """The flags that change nothing of what is asked."""

    title: str
    config: Path | None
    force: bool
    quiet: bool
    with_charts: bool = True
    with_page: bool = True
