"""What a change of type writes, by column_types, against the files of PostgreSQL 18 and 16."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import psycopg

from incident_rca.migrations.column_types import Effect, effect_of
from incident_rca.migrations.grammar import column_type
from tests.lab.servers import Server

TYPES = (
    *("boolean", "smallint", "integer", "bigint", "real", "double precision", "uuid", "bytea"),
    *("numeric", "numeric(10,2)", "numeric(12,2)", "numeric(12,3)", "numeric(8)"),
    *("text", "varchar", "varchar(20)", "varchar(40)", "bpchar", "char(5)", "char(9)"),
    *("date", "timestamp", "timestamp(3)", "timestamp(6)", "timestamptz", "timestamptz(2)"),
    *("time", "time(2)", "timetz(3)", "interval", "interval(3)", "interval(5)"),
    *("jsonb", "inet", "cidr", "bit varying", "bit varying(4)", "bit varying(8)", "varchar(3)[]"),
    *("varchar(9)[]", "integer[]", "bigint[]"),
)
FILES = "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('changed', 'changed_idx')"


def written(
    session: psycopg.Connection, old: str, types: Sequence[str]
) -> Iterator[tuple[str, frozenset[str]]]:
    """The types to which a column can be changed, and what of its table and index is written."""
    session.execute(f"CREATE TABLE changed (a {old})".encode())
    session.execute("CREATE INDEX changed_idx ON changed (a)")
    before: dict[str, int] = dict(session.execute(FILES).fetchall())
    for new in types:
        try:
            with session.transaction(force_rollback=True):
                session.execute(f"ALTER TABLE changed ALTER COLUMN a TYPE {new}".encode())
                after: dict[str, int] = dict(session.execute(FILES).fetchall())
        except psycopg.errors.DatatypeMismatch:
            continue
        yield new, frozenset(name for name, file in before.items() if after[name] != file)
    session.rollback()


def effect(old: str, new: str) -> Effect:
    before, after = column_type(old), column_type(new)
    assert before is not None and after is not None
    return effect_of(before, after)


def test_what_a_change_of_type_writes(server: Server) -> None:
    said: Counter[Effect] = Counter()
    with server.connect(autocommit=False) as session:
        session.execute("SELECT set_config('timezone', 'Europe/Berlin', false)")
        session.commit()
        for old in TYPES:
            for new, seen in written(session, old, TYPES):
                claimed = effect(old, new)
                if claimed is not Effect.UNKNOWN:
                    said[claimed] += 1
                    assert ("changed" in seen) is (claimed is not Effect.NONE), (old, new)
                    assert not seen or claimed is not Effect.NONE, (old, new)
    assert said[Effect.NONE] > 50 and said[Effect.REWRITE] > 200, said


def test_in_utc_a_timestamp_gets_its_zone_without_being_written(server: Server) -> None:
    seen = {}
    with server.connect(autocommit=False) as session:
        for zone in ("UTC", "Europe/Berlin"):
            session.execute("SELECT set_config('timezone', %s, false)", [zone])
            session.commit()
            for old, new in (("timestamp", "timestamptz"), ("timestamptz", "timestamp")):
                assert effect(old, new) is Effect.BY_TIME_ZONE
                ((_, files),) = written(session, old, [new])
                seen[zone, old] = "changed" in files
    assert seen == {
        ("UTC", "timestamp"): False,
        ("UTC", "timestamptz"): False,
        ("Europe/Berlin", "timestamp"): True,
        ("Europe/Berlin", "timestamptz"): True,
    }


def test_a_check_or_an_expression_makes_a_change_of_type_read_rows(server: Server) -> None:
    """What `watched` is for: varchar(20) to varchar(40) alone reads nothing."""
    read = "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname = 'longer'"
    expected = {
        "CREATE INDEX ON longer (a)": False,
        "CREATE INDEX ON longer (b) WHERE b > 5": False,
        "ALTER TABLE longer ADD CHECK (b > 0)": False,
        "ALTER TABLE longer ADD CHECK (a <> '') NOT VALID": False,
        "ALTER TABLE longer ADD CHECK (a <> '')": True,
        "CREATE INDEX ON longer (lower(a))": True,
        "CREATE INDEX ON longer (a) WHERE b > 5": True,
    }
    seen = {}
    with server.connect(autocommit=False) as session:
        for beside in expected:
            session.execute("CREATE TABLE longer (a varchar(20), b int)")
            session.execute("INSERT INTO longer SELECT 'x', i FROM generate_series(1, 1000) i")
            session.execute(beside.encode())
            (before,) = session.execute(read).fetchone() or (0,)
            session.execute("ALTER TABLE longer ALTER COLUMN a TYPE varchar(40)")
            (after,) = session.execute(read).fetchone() or (0,)
            seen[beside] = after - before >= 1000
            session.rollback()
    assert seen == expected
