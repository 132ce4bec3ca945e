"""A DuckDB connection for raw files: bounded memory, UTC, no network, scratch space of its own."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incident_rca.queries import load_query

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MEMORY_LIMIT = "512MB"
# What a system says of a disk, a quota or a file that takes no more.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What DuckDB says where there is no room for its spills.
_NO_SPILLS = "max_temp_directory_size"


@contextlib.contextmanager
def open_session(work: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose spills go to `work` and whose instants are UTC on any machine.

    A full disk is an OSError, as it is wherever else something is written: it is no fault of the
    file that is read.
    """
    import duckdb

    session = duckdb.connect(
        config={
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(work / "duckdb"),
            "autoinstall_known_extensions": False,
        }
    )
    with session:
        session.execute("SET TimeZone = 'UTC'")
        try:
            yield session
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            text = str(error)
            full = [number for number in _FULL if os.strerror(number) in text]
            if full or _NO_SPILLS in text:
                number = next(iter(full), errno.ENOSPC)
                raise OSError(number, os.strerror(number)) from error
            raise


def side_by_side(session: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Another connection to the same tables, for a thread of its own; variables are its own."""
    connection = session.cursor()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def run_file(session: duckdb.DuckDBPyConnection, name: str) -> duckdb.DuckDBPyRelation:
    """The rows of a query file of `queries/duckdb`."""
    return session.sql(load_query(f"duckdb/{name}").text)


def define(session: duckdb.DuckDBPyConnection, name: str) -> None:
    """Runs a query file that creates a temporary view or macro."""
    session.execute(load_query(f"duckdb/{name}").text)


def fetch(relation: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """The rows of a relation as a frame; instants stay UTC and nulls stay nulls.

    DuckDB's own `df()` converts instants by a pandas call that pandas 3.1 deprecates.
    """
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    for name, array in relation.fetchnumpy().items():
        masked = np.ma.asarray(array)
        missing = np.ma.getmaskarray(masked)
        if masked.dtype.kind == "M":
            masked.data[missing] = np.datetime64("NaT")
            columns[name] = pd.DatetimeIndex(masked.data).tz_localize("UTC").array
        elif masked.dtype.kind in "iu":
            columns[name] = pd.arrays.IntegerArray(masked.data.astype("int64", copy=False), missing)
        elif masked.dtype.kind == "f":
            masked.data[missing] = np.nan
            columns[name] = masked.data
        else:
            columns[name] = pd.Series(masked.data, dtype=object).mask(missing, None)
    # Not copied: a copy puts columns of one type together, and holds them twice meanwhile.
    return pd.DataFrame(columns, copy=False)
