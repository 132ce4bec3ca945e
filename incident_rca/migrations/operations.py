"""What a statement of a migration does, in our words: nothing here knows a parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from incident_rca.migrations.column_types import ColumnType
from incident_rca.migrations.keywords import RESERVED

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def quoted(name: str) -> str:
    """A name as SQL needs it.

    >>> print(quoted("orders"), quoted("order"), quoted("Order.Items"))
    orders "order" "Order.Items"
    """
    is_plain = _PLAIN.fullmatch(name) and name not in RESERVED
    return name if is_plain else '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or index as it is named; `schema` is "" where the search path decides."""

    name: str
    schema: str = ""

    def __str__(self) -> str:
        parts = [self.schema, self.name] if self.schema else [self.name]
        return ".".join(quoted(part) for part in parts)


class Form(StrEnum):
    """The kinds of constraints."""

    CHECK = "CHECK"
    FOREIGN_KEY = "FOREIGN KEY"
    UNIQUE = "UNIQUE"
    PRIMARY_KEY = "PRIMARY KEY"
    EXCLUDE = "EXCLUDE"
    NOT_NULL = "NOT NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A constraint to be added; `definition` is its text without its name.

    That of a new column says what ADD CONSTRAINT would say, and has the column in `columns`.
    `not_null_column` is the column of `CHECK (column IS NOT NULL)`, `mentions` are those of any
    CHECK; `is_deferrable` keeps an index that stands in for the constraint from being enough by
    itself.
    """

    form: Form
    name: str = ""
    definition: str = ""
    columns: tuple[str, ...] = ()
    not_valid: bool = False
    using_index: str = ""
    references: Relation | None = None
    not_null_column: str = ""
    mentions: tuple[str, ...] = ()
    is_deferrable: bool = False


class Expression(StrEnum):
    """What is known of a default without asking the server."""

    NONE = "none"
    FIXED = "fixed"  # one value for all rows: the catalog keeps it
    VOLATILE = "volatile"  # a value of its own for each row
    UNKNOWN = "unknown"  # calls a function that may be volatile


@dataclass(frozen=True, slots=True, kw_only=True)
class AddColumn:
    """`default` is what it does to existing rows; `why` names the function or the property."""

    column: str
    type: str = ""
    kind: ColumnType | None = None
    default: Expression = Expression.NONE
    default_text: str = ""
    why: str = ""
    not_null: bool = False
    is_generated: bool = False  # GENERATED ALWAYS AS (…) STORED
    is_numbered: bool = False  # serial or identity
    constraints: tuple[Constraint, ...] = ()
    if_not_exists: bool = False

    @property
    def bare(self) -> str:
        """Its definition without the constraints that are added behind it.

        NOT NULL without a value for the rows that are there would fail.
        """
        default = f" DEFAULT {self.default_text}" if self.default_text else ""
        is_kept = self.not_null and self.default is not Expression.NONE
        return f"{quoted(self.column)} {self.type}{default}{' NOT NULL' if is_kept else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddConstraint:
    constraint: Constraint


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNotNull:
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeType:
    """`kind` is None where more than the type changes: with a collation, or a USING of its own."""

    column: str
    type: str
    kind: ColumnType | None
    using: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """FOR VALUES of a partition: `kind` is range, list, hash or default, values as SQL has them."""

    kind: str
    lower: tuple[str, ...] = ()
    upper: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """ATTACH or DETACH of `partition`: a table's, or with ATTACH an index's.

    `text` is the action as SQL has it; an index and DETACH have no bound.
    """

    partition: Relation
    attach: bool
    text: str = ""
    bound: Bound | None = None
    concurrently: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    constraint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAction:
    """Any other action of ALTER TABLE, by the grammar's name, such as `AT_DropColumn`.

    So are policies and rules, what is dropped with them or with triggers, and SET SCHEMA. `name` is
    that of the column or constraint.
    """

    kind: str
    name: str = ""


Action = AddColumn | AddConstraint | SetNotNull | ChangeType | Partition | Validate | OtherAction


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterTable:
    """`kind` is table, index, view, materialized view, sequence or foreign table."""

    table: Relation
    actions: tuple[Action, ...]
    kind: str = "table"


# Stand for the names of a partition and its index in the texts of CreateIndex.
LEAF_TABLE, LEAF_INDEX = "incident_rca_leaf", "incident_rca_leaf_index"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateIndex:
    """`concurrent_text` is the same statement with CONCURRENTLY; `only` is ON ONLY.

    `parent_text` is it with ON ONLY, `leaf_text` with CONCURRENTLY for one partition. `mentions`
    are the columns of an index that has expressions or a condition: any change of their type builds
    it anew.
    """

    table: Relation
    name: str
    concurrent_text: str
    parent_text: str = ""
    leaf_text: str = ""
    concurrently: bool = False
    only: bool = False
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """`kind` is `index`, `table`, `view`, `materialized view` or the grammar's name of another."""

    kind: str
    names: tuple[Relation, ...]
    concurrently: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindex:
    """`kind` is index, table, schema, system or database."""

    kind: str
    name: Relation
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a new table; `kind` is None where its type is not understood."""

    name: str
    kind: ColumnType | None
    not_null: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTable:
    """A new table or materialized view; with `if_not_exists` it may have been there.

    `constraints` are those of the columns too. `partition_key` has "" for an expression.
    """

    table: Relation
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    partition_key: tuple[str, ...] = ()
    if_not_exists: bool = False
    temporary: bool = False
    partition_of: Relation | None = None
    bound: Bound | None = None
    inherits: tuple[Relation, ...] = ()

    @property
    def references(self) -> tuple[Relation, ...]:
        return tuple(c.references for c in self.constraints if c.references is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """A relation gets a new name, or its column or constraint `part` does."""

    relation: Relation
    kind: str
    new_name: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class ConstrainDomain:
    """A domain that is created with a constraint, or gets one."""

    name: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateTrigger:
    table: Relation


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """VACUUM FULL, CLUSTER or TRUNCATE (`command`) of these tables; none means all of them."""

    command: str
    tables: tuple[Relation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    view: Relation
    concurrently: bool = False
    with_data: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTables:
    """`mode` as in pg_locks."""

    tables: tuple[Relation, ...]
    mode: str
    nowait: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """`kind` is begin, commit, rollback, prepare, savepoint, rollback to, or other."""

    kind: str
    savepoint: str = ""
    chain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVariable:
    """SET, RESET (value None) or set_config(); `value` is "" where it cannot be read."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetSession:
    """RESET ALL, DISCARD ALL or psql's \\connect: what SET did is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A DO block; `body` is its code."""

    language: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFunction:
    """A function or procedure with its code; an SQL body (BEGIN ATOMIC) cannot hold DDL.

    That of a trigger has none here: no statement can call it.
    """

    name: Relation
    language: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """SELECT f() or CALL p(): the functions that it names."""

    functions: tuple[Relation, ...]
    reads_tables: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Any other statement; `tables` it writes to.

    `kind` is the grammar's name, such as `insert_stmt`; vacuum and analyze, which share one there,
    have their own.
    """

    kind: str
    tables: tuple[Relation, ...] = ()


Operation = (
    AlterTable
    | CreateIndex
    | Drop
    | Reindex
    | CreateTable
    | Rename
    | ConstrainDomain
    | CreateTrigger
    | Rewrite
    | Refresh
    | LockTables
    | Transaction
    | SetVariable
    | ResetSession
    | Block
    | CreateFunction
    | Calls
    | Other
)
