"""`incident-rca stats`: table sizes of a live database, to lint where there is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from incident_rca.cli.terminal import Dsn, Quiet, print_json, progress

if TYPE_CHECKING:
    from incident_rca.migrations.sizes import TableSizes

# Sessions hand their counters over once a second at most.
WATCH_SECONDS = 3.0


def stats(
    dsn: Dsn = None,
    watch: Annotated[
        float,
        typer.Option(
            "--watch-seconds", min=0, max=3600, help="How long to count writes and scans; 0: not."
        ),
    ] = 10.0,
    quiet: Quiet = False,
) -> None:
    """Print the sizes of all tables and how busy they are, for `lint --stats`. Changes nothing.

    Example: incident-rca stats --dsn postgresql://monitor@db.example/orders > stats.json
    """
    from incident_rca.migrations.sizes import to_document

    with progress(quiet=quiet) as step:
        step(f"counting writes and scans for {watch:g} s")
        sizes = sizes_of(dsn or [""], watch)
    print_json(to_document(sizes))


def sizes_of(dsns: list[str], watch_seconds: float) -> TableSizes:
    """The sizes of these databases; of tables that several have, the largest."""
    from incident_rca.migrations.sizes import largest
    from incident_rca.sources.table_sizes import fetch_sizes

    found = [
        fetch_sizes(dsn, now=_now, watch_seconds=watch_seconds, sleep=time.sleep) for dsn in dsns
    ]
    return largest(found)


def _now() -> datetime:
    return datetime.now(UTC)
