"""`incident-rca locks`: who blocks whom right now, and what would end it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_rca.cli.terminal import Dsn, Json, Quiet, out, print_json, say, tell
from incident_rca.errors import BadInput, ExitCode, IncidentRcaError, Unreachable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from incident_rca.live import Watched
    from incident_rca.model.live import LiveLocks


def locks(
    dsn: Dsn = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again until interrupted.")
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.5, help="Seconds between two looks with --watch.")
    ] = 2.0,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Also write what was seen, as a file to import into a case."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show who blocks whom in PostgreSQL right now, and what would end it. Changes nothing.

    Example: incident-rca locks --dsn postgresql://oncall@db.example/orders
    """
    if watch and as_json:
        raise BadInput(
            "--watch and --json exclude each other", hint="call `locks --json` as often as needed"
        )
    if watch and save is not None:
        raise BadInput(
            "--watch and --save exclude each other",
            hint="`incident-rca record` writes what happens over time",
        )
    if save is not None and len(dsn or ()) > 1:
        raise BadInput("--save takes one --dsn", hint="save one server after the other")
    if save is not None and save.exists():
        raise BadInput(f"{save}: exists already", hint="name a new file")
    if watch:
        _watch(dsn or [""], interval)
        return
    watched, refused = _open(dsn or [""])
    looks = _look(watched, refused, save)
    if as_json:
        print_json([item for look in looks for item in _as_json(look)])
        for look in looks:
            if look.blind:
                say(f"{look.server}: {look.blind}\nhint: {look.cure}", quiet=quiet)
    else:
        for look in looks:
            # A command is one line, whatever the width, so that it can be copied.
            out().print(_rendered(look), crop=False)
    for error in refused:
        tell(error)
    if save is not None and looks:
        say(f"Written: {save}; add it to a case: incident-rca import CASE {save}", quiet=quiet)
    if refused:
        raise typer.Exit(ExitCode.INCOMPLETE if looks else refused[0].exit_code)


def _open(dsns: list[str]) -> tuple[list[Watched], list[IncidentRcaError]]:
    """The servers that answer, and why the others do not."""
    from incident_rca import live

    watched: list[Watched] = []
    refused: list[IncidentRcaError] = []
    for dsn in dsns:
        try:
            watched.append(live.watch(dsn))
        except Unreachable as error:
            refused.append(error)
    return watched, refused


def _look(
    watched: list[Watched], refused: list[IncidentRcaError], save: Path | None
) -> list[LiveLocks]:
    from incident_rca import live

    looks: list[LiveLocks] = []
    for server in watched:
        try:
            records = live.read_records(server, _now)
        except Unreachable as error:
            refused.append(error)
            continue
        if save is not None:
            live.save_records(records, save)
        looks.append(live.live_locks(records, server.server, server.cure))
    return looks


def _watch(dsns: list[str], interval: float) -> None:
    """A screen that is drawn anew, or look after look where the output is no terminal.

    A server that does not answer is named, and connected again.
    """
    from rich.console import Group
    from rich.live import Live

    console = out()
    watched: dict[str, Watched] = {}
    if not console.is_terminal or console.is_dumb_terminal:
        while True:
            for dsn in dsns:
                console.print(_watched(dsn, watched), crop=False)
            time.sleep(interval)
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            parts = [_watched(dsn, watched) for dsn in dsns]
            screen.update(Group(*parts), refresh=True)
            time.sleep(interval)


def _watched(dsn: str, watched: dict[str, Watched]) -> RenderableType:
    """What one server shows; the connection of one that fails is given up."""
    from rich.text import Text

    from incident_rca import live
    from incident_rca.redact import plain

    try:
        if dsn not in watched:
            watched[dsn] = live.watch(dsn)
        records = live.read_records(watched[dsn], _now)
        server = watched[dsn]
        return _rendered(live.live_locks(records, server.server, server.cure))
    except Unreachable as error:
        if known := watched.pop(dsn, None):
            known.connection.close()
        return Text(f"error: {plain(error.message, 2000)}")


def _rendered(look: LiveLocks) -> RenderableType:
    from incident_rca.report.live_tree import live_view

    return live_view(look)


def _as_json(look: LiveLocks) -> list[dict[str, Any]]:
    """The episodes in the shape of report.json, each with its server and what would end it."""
    from incident_rca.analysis.evidence import short_ids
    from incident_rca.report.contract_episodes import lock_episodes

    ids = short_ids([e for episode in look.episodes for e in episode.evidence])
    ways = {blocker.session.session: blocker.way_out for blocker in look.blockers}
    return [
        {"server": look.server, **item, "to_end_it": _way(ways, episode.root_holder.session)}
        for item, episode in zip(lock_episodes(look.episodes, ids), look.episodes, strict=True)
    ]


def _way(ways: dict[str, Any], session: str) -> dict[str, Any] | None:
    way = ways.get(session)
    if way is None or not way.commands:
        return None
    return {
        "commands": list(way.commands),
        "undoes": way.undoes,
        "then": way.then,
        "still": way.still,
    }


def _now() -> datetime:
    return datetime.now(UTC)
