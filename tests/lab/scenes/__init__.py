"""Incidents re-enacted on real PostgreSQL, each of which states the truth of what it did.

    with create_index_held(server) as truth:      # sets everything up in a database of its own
        ...                                       # all waiters of `truth.holds` wait
        truth.release()                           # may be left out: the scene ends itself
    truth.holds[0].waiters[0].outcome             # complete

| module | scenes |
| --- | --- |
| index_builds | create_index_held, create_index_held_then_select, create_index_running, |
| | parallel_index_build, concurrently_behind_old_transaction |
| queues | alter_behind_idle_reader, two_holders, chain_across_tables, lock_upgrade, |
| | two_upgraders, lock_table_modes |
| rows | row_lock_chain, deadlock, prepared_transaction, foreign_key |
| elsewhere | advisory_locks, unrelated_lock_beside, without_privileges, template_clone |
| extension | relation_extension |
| over_time | two_episodes, same_holder_twice, waiters_give_up, restart_in_the_middle |
| own_servers | five_hundred_waiters, autovacuum_cancelled |

`check.disagreements(truth)` compares a truth with the server, without any code of ours.

What a scene did stands in its docstring, and in `Scene.about`. `truth.advance()` plays the next act
of those with several: two_holders, two_upgraders, and all of over_time. Scenes with
`Scene.own_server` start a server of their own: ask `truth.server`. An observer connects to
`truth.dsn`, which names the role in without_privileges and the clone in template_clone. In a
deadlock and before an autovacuum is cancelled, the body has 3 s; in waiters_give_up, 2 s.
"""

from __future__ import annotations

from tests.lab.scenes.elsewhere import (
    advisory_locks,
    template_clone,
    unrelated_lock_beside,
    without_privileges,
)
from tests.lab.scenes.extension import relation_extension
from tests.lab.scenes.index_builds import (
    concurrently_behind_old_transaction,
    create_index_held,
    create_index_held_then_select,
    create_index_running,
    parallel_index_build,
)
from tests.lab.scenes.over_time import (
    restart_in_the_middle,
    same_holder_twice,
    two_episodes,
    waiters_give_up,
)
from tests.lab.scenes.own_servers import autovacuum_cancelled, five_hundred_waiters
from tests.lab.scenes.queues import (
    alter_behind_idle_reader,
    chain_across_tables,
    lock_table_modes,
    lock_upgrade,
    two_holders,
    two_upgraders,
)
from tests.lab.scenes.rows import deadlock, foreign_key, prepared_transaction, row_lock_chain
from tests.lab.scenes.scene import Scene
from tests.lab.scenes.truth import NOT_YET, Edge, Hold, Outcome, Truth, Wait

SCENES: tuple[Scene, ...] = (
    create_index_held,
    create_index_held_then_select,
    create_index_running,
    parallel_index_build,
    concurrently_behind_old_transaction,
    alter_behind_idle_reader,
    two_holders,
    chain_across_tables,
    lock_upgrade,
    two_upgraders,
    lock_table_modes,
    row_lock_chain,
    deadlock,
    prepared_transaction,
    foreign_key,
    advisory_locks,
    unrelated_lock_beside,
    without_privileges,
    template_clone,
    relation_extension,
    two_episodes,
    same_holder_twice,
    waiters_give_up,
    restart_in_the_middle,
    five_hundred_waiters,
    autovacuum_cancelled,
)

__all__ = [
    "NOT_YET",
    "SCENES",
    "Edge",
    "Hold",
    "Outcome",
    "Scene",
    "Truth",
    "Wait",
    "advisory_locks",
    "alter_behind_idle_reader",
    "autovacuum_cancelled",
    "chain_across_tables",
    "concurrently_behind_old_transaction",
    "create_index_held",
    "create_index_held_then_select",
    "create_index_running",
    "deadlock",
    "five_hundred_waiters",
    "foreign_key",
    "lock_table_modes",
    "lock_upgrade",
    "parallel_index_build",
    "prepared_transaction",
    "relation_extension",
    "restart_in_the_middle",
    "row_lock_chain",
    "same_holder_twice",
    "template_clone",
    "two_episodes",
    "two_holders",
    "two_upgraders",
    "unrelated_lock_beside",
    "waiters_give_up",
    "without_privileges",
]
