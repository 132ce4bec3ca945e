"""What `rollup` can be told: which engine, where the log is, and how much may be read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(StrEnum):
    """The engines, as --engine names them."""

    DUCKDB = "duckdb"


Places = Annotated[list[str], typer.Argument(metavar="PLACE...", help="Files of the log.")]
Out = Annotated[Path, typer.Option("--out", help="The file to write; it is not overwritten.")]
EngineOption = Annotated[EngineName, typer.Option("--engine", help="What does the counting.")]
MaxBytes = Annotated[
    str, typer.Option("--max-bytes", help="Refuse to read more than this, such as 500GB.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print statements and cost, and run nothing.")
]
ForceRollup = Annotated[
    bool, typer.Option("--force", help="Take a window above 24 h; overwrite the file.")
]
