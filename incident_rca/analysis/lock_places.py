"""Where each lock is: the database and the relation of every row, by what all sources know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incident_rca.analysis.frames import values
from incident_rca.analysis.lock_graph import session_keys
from incident_rca.model import Case
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


def placed(case: Case, tables: Tables) -> pd.DataFrame:
    """The `locks` table with the keys of its sessions, each row's database ("" if unknown) and
    its relation as `schema.table`, as far as any source of the case says them.
    """
    locks = session_keys(tables.locks)
    locks = locks.assign(database=_databases(locks))
    return locks.assign(relation=_relations(case, tables, locks))


def _databases(locks: pd.DataFrame) -> list[str]:
    """The database of each row: its own, else the one in which its session is seen elsewhere.

    A session stays in one database for all its life (PostgreSQL documentation, "Overview of
    PostgreSQL Internals"), so what one source says of it holds for a log whose prefix has no %d.
    """
    seen: dict[str, set[str]] = {}
    for database, waiter, holder in values(locks, "database", "waiter", "holder"):
        # A holder of another database than its waiter's is one of a shared relation.
        session = waiter if waiter is not None else holder
        if database is not None and session is not None:
            seen.setdefault(session, set()).add(database)
    found = []
    for database, waiter, holder in values(locks, "database", "waiter", "holder"):
        known = next((seen[s] for s in (waiter, holder) if s in seen), set())
        found.append(database or (min(known) if len(known) == 1 else ""))
    return found


def _relations(case: Case, tables: Tables, locks: pd.DataFrame) -> list[str]:
    """The relation of each row as `schema.table`, by its OID where a source knows it.

    A log names a relation by OID and by what its statements wrote; the schema comes from the
    recorder, else from the one table of the topology that ends so, else it stays unsaid. A recorder
    knows only the OIDs of other databases; there the one name that a log has for it stands.
    """
    known = {
        (database, oid): relation
        for database, oid, relation in values(tables.relations, "database", "oid", "relation")
    }
    endings: dict[tuple[str, str], set[str]] = {}
    for (database, _), relation in known.items():
        for where in (database, ""):
            endings.setdefault((where, relation.rpartition(".")[2]), set()).add(relation)
    owned: dict[str, set[str]] = {}
    for table in (t for service in case.topology.services for t in service.tables):
        owned.setdefault(table.rpartition(".")[2], set()).add(table)
    places = list(values(locks, "database", "relation", "relation_oid"))
    said: dict[tuple[str, int], set[str]] = {}
    for database, relation, oid in places:
        if database and oid is not None and relation != unnamed(oid):
            said.setdefault((database, oid), set()).add(relation)
    names = []
    for database, relation, oid in places:
        logged = said.get((database, oid), set())
        name = min(logged) if len(logged) == 1 else relation
        candidates = endings.get((database, name)) or owned.get(name) or set()
        by_ending = min(candidates) if len(candidates) == 1 else name
        names.append(known.get((database, oid), by_ending))
    return names


def unnamed(oid: int) -> str:
    """What a source calls a relation of which it knows only the OID."""
    return f"relation {oid}"
