"""`incident-rca config`: the settings in force and where each comes from."""

from __future__ import annotations

import os

import typer

from incident_rca.cli.terminal import Config, Json, out, print_json, settings

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.callback()
def _config() -> None:
    """Settings."""


@app.command("show")
def show(config: Config = None, as_json: Json = False) -> None:
    """Show each setting, its value and its origin; secrets are masked.

    Example: incident-rca config show
    """
    from rich.table import Table
    from rich.text import Text

    from incident_rca.settings import describe_settings

    rows = describe_settings(settings(config), os.environ)
    if as_json:
        print_json([{"key": k, "value": v, "origin": o} for k, v, o in rows])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "value", "origin"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out().print(table)
