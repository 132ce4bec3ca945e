"""The rules: one file each, and this list of them."""

from __future__ import annotations

from collections.abc import Mapping

from incident_rca.migrations.rule import Rule
from incident_rca.migrations.rules import (
    attach_partition_scan,
    column_default_rewrite,
    column_type_change,
    concurrently_in_transaction,
    constraint_without_not_valid,
    detach_without_concurrently,
    drop_index_without_concurrently,
    foreign_key_without_not_valid,
    index_without_concurrently,
    lock_table,
    no_lock_timeout,
    partitioned_index,
    refresh_without_concurrently,
    reindex_without_concurrently,
    set_not_null,
    statements_after_strong_lock,
    table_rewrite,
    unique_without_index,
)

RULES: tuple[Rule, ...] = (
    index_without_concurrently.RULE,
    partitioned_index.RULE,
    drop_index_without_concurrently.RULE,
    reindex_without_concurrently.RULE,
    concurrently_in_transaction.RULE,
    constraint_without_not_valid.RULE,
    foreign_key_without_not_valid.RULE,
    unique_without_index.RULE,
    set_not_null.RULE,
    column_type_change.RULE,
    column_default_rewrite.RULE,
    attach_partition_scan.RULE,
    detach_without_concurrently.RULE,
    table_rewrite.RULE,
    refresh_without_concurrently.RULE,
    lock_table.RULE,
    no_lock_timeout.RULE,
    statements_after_strong_lock.RULE,
)
BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in RULES}
