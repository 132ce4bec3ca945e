"""CREATE INDEX and REINDEX of the grammar, in our words."""

from __future__ import annotations

from typing import Any

from postgast import pg_query_pb2 as pb

from incident_rca.migrations import operations as ops
from incident_rca.migrations.spelling import columns_in, is_on, relation_of, spelled


def create_index(stmt: Any) -> ops.Operation:
    def text(*, concurrent: bool, only: bool = False, name: str = "", table: str = "") -> str:
        copy = pb.IndexStmt()
        copy.CopyFrom(stmt)
        copy.concurrent = concurrent
        if only:
            copy.relation.inh = False
        if name:
            copy.idxname = name
        if table:
            copy.relation.relname, copy.relation.schemaname, copy.relation.inh = table, "", True
        return spelled(index_stmt=copy)

    return ops.CreateIndex(
        table=relation_of(stmt.relation),
        name=stmt.idxname,
        concurrent_text=text(concurrent=True),
        parent_text=text(concurrent=False, only=True, name=stmt.idxname or ops.LEAF_INDEX),
        leaf_text=text(concurrent=True, name=ops.LEAF_INDEX, table=ops.LEAF_TABLE),
        concurrently=stmt.concurrent,
        only=not stmt.relation.inh,
        mentions=_mentioned(stmt),
    )


def _mentioned(stmt: Any) -> tuple[str, ...]:
    """All columns of an index that has expressions or a condition."""
    keys = [param.index_elem for param in stmt.index_params]
    if not stmt.HasField("where_clause") and not any(key.HasField("expr") for key in keys):
        return ()
    return (*(key.name for key in keys if key.name), *columns_in(stmt))


_REINDEXED = {
    pb.REINDEX_OBJECT_INDEX: "index",
    pb.REINDEX_OBJECT_TABLE: "table",
    pb.REINDEX_OBJECT_SCHEMA: "schema",
    pb.REINDEX_OBJECT_SYSTEM: "system",
    pb.REINDEX_OBJECT_DATABASE: "database",
}


def reindex(stmt: Any) -> ops.Operation:
    name = relation_of(stmt.relation) if stmt.relation.relname else ops.Relation(stmt.name)
    return ops.Reindex(
        kind=_REINDEXED[stmt.kind], name=name, concurrently=is_on(stmt.params, "concurrently")
    )
