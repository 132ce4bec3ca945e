"""What `rollup` can be told: which engine, where the log is, and how much may be read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(StrEnum):
    """The engines, as --engine names them."""

    DUCKDB = "duckdb"
    SPARK = "spark"
    ATHENA = "athena"
    INSIGHTS = "insights"


Places = Annotated[
    list[str],
    typer.Argument(
        metavar="PLACE...",
        help="Files (duckdb, spark), s3://bucket/prefix (athena) or a stage (insights).",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="The file to write, or LOG.rollup.ndjson.gz; not overwritten."),
]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="What does the counting.")]
MaxBytes = Annotated[
    str, typer.Option("--max-bytes", help="Refuse to read more than this, such as 500GB.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print statements and cost, and run nothing.")
]
Master = Annotated[
    str, typer.Option("--master", help="Spark's master; else as Spark is configured.")
]
Account = Annotated[
    str, typer.Option("--account", help="The AWS account by its name in the settings.")
]
Workgroup = Annotated[str, typer.Option("--workgroup", help="Athena's workgroup.")]
Database = Annotated[
    str, typer.Option("--database", help="Athena's database, for the table of the log's lines.")
]
Results = Annotated[
    str, typer.Option("--results", help="s3:// place of results, if the workgroup has none.")
]
EngineTimeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds that Athena or Insights may take.")
]
ForceRollup = Annotated[
    bool, typer.Option("--force", help="Take a window above 24 h; overwrite the file.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The flags that say which service an engine asks, and for how long, as they were given."""

    master: str
    account: str
    workgroup: str
    database: str
    results: str
    timeout: float
