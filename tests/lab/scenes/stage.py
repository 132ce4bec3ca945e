"""Where a scene plays: a database of its own, sessions in it, and the notes of what they did.

A scene is a script: a generator that sets an act up, yields while others look at it, and goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.lab.scenes.session import Control, Session, until
from tests.lab.scenes.truth import Edge, Hold, Outcome, State, Truth, Wait
from tests.lab.servers import Server

# Until the server's detector looks, where a body shall see a circle or an autovacuum before.
DETECTOR_SECONDS = 3
STOCK = (
    "CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL)",
    "INSERT INTO stock SELECT 'sku-' || n, n FROM generate_series(1, 20) n",
)
INSERT = "INSERT INTO stock VALUES ('{}', 1)"
# Sets an act up before each yield, and cleans up if it is closed there.
Script = Callable[["Stage"], Generator[None]]
_numbers = itertools.count(1)


@dataclass
class Taken:
    """The notes on one lock of a root holder."""

    session: Session | None
    hold: Hold
    waits: list[tuple[Waiting, Edge]] = field(default_factory=list)

    def then(self, statement: str) -> None:
        """Runs a later statement in the holder's transaction."""
        assert self.session is not None
        self.session.run(statement)
        self.hold = replace(self.hold, last_statement=statement)


@dataclass
class Waiting:
    """The notes on one wait."""

    session: Session
    wait: Wait


class Stage:
    """A database of its own on a server, and what happens in it."""

    def __init__(self, server: Server, script: Script) -> None:
        self.server = server
        self.database = f"lab_{next(_numbers)}"
        self.control = Control(server)
        self.sessions: list[Session] = []
        self.taken: list[Taken] = []
        self.waitings: list[Waiting] = []
        self.bystanders: set[int] = set()
        self.workers: set[int] = set()
        self.last_release = self.control.now()
        self.databases = [self.database]
        self.roles: list[str] = []
        self.control.connection.execute(f"CREATE DATABASE {self.database} STRATEGY file_copy")
        dsn = server.dsn_of(self.database)
        self.truth = Truth(server, self.database, dsn, script=self.play(script))

    # --- the cast --------------------------------------------------------------------------

    def prepare(self, *statements: str, database: str = "") -> None:
        """Sets tables up, in a session that is gone when this returns."""
        with self.server.connect(database or self.database) as connection:
            for statement in statements:
                connection.execute(statement)
            pid = connection.info.backend_pid
        self.control.until_gone(pid)

    def session(self, application: str, *statements: str) -> Session:
        """A new session of this application, which has run these statements."""
        connection = self.server.connect(self.database, application_name=application)
        pid = connection.info.backend_pid
        start = self.control.ask("SELECT backend_start FROM pg_stat_get_activity(%s)", pid)
        session = Session(connection, application, pid, start)
        self.sessions.append(session)
        for statement in statements:
            session.run(statement)
        return session

    def bystander(self, application: str, *statements: str) -> Session:
        """A session that holds a lock and blocks nobody."""
        session = self.session(application, "BEGIN", *statements)
        self.bystanders.add(session.pid)
        return session

    def create_role(self, name: str) -> None:
        """A role that may log in, and no more."""
        self.control.connection.execute(f"CREATE ROLE {name} LOGIN")
        self.roles.append(name)

    def clone_database(self) -> str:
        """The name of a new database made of this one, in which every table has the same OID."""
        clone = f"{self.database}_clone"
        self.control.connection.execute(f"CREATE DATABASE {clone} TEMPLATE {self.database}")
        self.databases.append(clone)
        return clone

    # --- what happens ----------------------------------------------------------------------

    def take(
        self,
        session: Session,
        statement: str,
        mode: str,
        relation: str | None = "public.stock",
        *,
        lock_type: str = "relation",
        state: State = "idle in transaction",
        until_taken: Callable[[], object] | None = None,
    ) -> Taken:
        """The session takes a lock that it gets at once, and keeps it."""
        after = self.control.now()
        if state == "active":
            session.send(statement)
            seen = until_taken or (lambda: self.control.until_granted(session.pid, lock_type, mode))
            seen()
        else:
            session.run(statement)
        hold = Hold(
            pid=session.pid,
            backend_start=session.backend_start,
            application=session.application,
            relation=relation,
            lock_type=lock_type,
            mode=mode,
            statement=statement,
            last_statement=statement,
            state=state,
            taken_after=after,
            taken_before=self.control.now(),
        )
        return self.note(Taken(session, hold))

    def note(self, taken: Taken) -> Taken:
        """Adds a hold to the truth."""
        self.taken.append(taken)
        return taken

    def wait(
        self,
        behind: Taken | Sequence[Taken],
        who: str | Session,
        statement: str,
        mode: str,
        *,
        edge: Edge = "hard",
        lock_type: str = "relation",
        relation: str | None = "public.stock",
        hard: Sequence[int] | None = None,
        soft: Sequence[int] = (),
    ) -> Waiting:
        """Somebody sends a statement that now waits behind these root holders.

        `hard` and `soft` are the pids directly before it: the root holders themselves if left out.
        """
        roots = [behind] if isinstance(behind, Taken) else list(behind)
        session = self.session(who) if isinstance(who, str) else who
        after = self.control.now()
        session.send(statement)
        self.control.until_waiting(session.pid, lock_type)
        wait = Wait(
            pid=session.pid,
            backend_start=session.backend_start,
            application=session.application,
            statement=statement,
            lock_type=lock_type,
            mode=mode,
            relation=relation,
            edge=edge,
            hard_behind=frozenset([root.hold.pid for root in roots] if hard is None else hard),
            soft_behind=frozenset(soft),
            began_after=after,
            began_before=self.control.now(),
        )
        waiting = Waiting(session, wait)
        self.waitings.append(waiting)
        for root in roots:
            root.waits.append((waiting, edge))
        return waiting

    def insert(self, behind: Taken | Sequence[Taken], count: int = 1) -> list[Waiting]:
        """The most common waiters: INSERTs of a service, each in a session of its own."""
        return [
            self.wait(
                behind,
                "inventory-service",
                INSERT.format(f"new-{next(_numbers)}"),
                "RowExclusiveLock",
            )
            for _ in range(count)
        ]

    def release(self, taken: Taken, statement: str = "COMMIT") -> None:
        """The holder gives its locks back by this statement."""
        assert taken.session is not None
        after = self.control.now()
        taken.session.run(statement)
        self.released(taken, after)

    def released(self, taken: Taken, after: datetime) -> None:
        """Notes that this hold ended between `after` and now."""
        taken.hold = replace(taken.hold, released_after=after, released_before=self.control.now())
        self.last_release = after

    def settle(self, *waitings: Waiting, after: datetime | None = None) -> None:
        """Waits until these waits are over; their cause came after `after` or the last release."""
        outcomes = [waiting.session.outcome() for waiting in waitings]
        before = self.control.now()
        for waiting, outcome in zip(waitings, outcomes, strict=True):
            self.ended(waiting, outcome, after or self.last_release, before)

    def ended(
        self, waiting: Waiting, outcome: Outcome, after: datetime, before: datetime | None = None
    ) -> None:
        """Notes how and when a wait ended."""
        waiting.wait = replace(
            waiting.wait,
            outcome=outcome,
            ended_after=max(after, waiting.wait.began_after),
            ended_before=before or self.control.now(),
        )

    def note_granted(self, waiting: Waiting) -> Taken:
        """The hold that a wait has become, in a transaction that goes on."""
        wait = waiting.wait
        assert wait.outcome == "granted"
        hold = Hold(
            pid=wait.pid,
            backend_start=wait.backend_start,
            application=wait.application,
            relation=wait.relation,
            lock_type=wait.lock_type,
            mode=wait.mode,
            statement=wait.statement,
            last_statement=wait.statement,
            state="idle in transaction",
            taken_after=wait.ended_after,
            taken_before=wait.ended_before,
        )
        return self.note(Taken(waiting.session, hold))

    def circle(self, *takens: Taken) -> None:
        """Notes that these holders now wait for one another."""
        for taken in takens:
            assert taken.session is not None
            taken.hold = replace(
                taken.hold, state="active", last_statement=taken.session.last_statement
            )
        self.truth.deadlocked = frozenset(taken.hold.pid for taken in takens)

    def break_circle(self, victim: Taken, waits: Sequence[Waiting]) -> None:
        """Waits until the server has ended the victim, the only one with a short timeout."""
        assert victim.session is not None
        began = next(w.wait.began_after for w in waits if w.session is victim.session)
        after = began + timedelta(seconds=DETECTOR_SECONDS)
        self.settle(*waits, after=after)
        self.released(victim, after)
        victim.session.run("ROLLBACK")
        self.truth.deadlocked = frozenset()

    def until_only_these_wait(self) -> None:
        """Returns when all who wait in this scene, and for what, is what its notes say."""
        waits = [waiting.wait for waiting in self.waitings]
        expected = {(w.pid, w.lock_type, w.mode) for w in waits if w.outcome == "waiting"}
        cast = [session.pid for session in self.sessions]
        query = "SELECT pid, locktype, mode FROM pg_locks WHERE NOT granted AND pid = ANY(%s)"
        until(lambda: set(self.control.rows(query, cast)) == expected, f"these wait: {expected}")

    # --- the truth -------------------------------------------------------------------------

    def publish(self) -> None:
        """Writes the notes into the truth."""
        truth = self.truth
        truth.holds = tuple(
            replace(t.hold, waiters=tuple(replace(w.wait, edge=edge) for w, edge in t.waits))
            for t in self.taken
        )
        truth.bystanders = frozenset(self.bystanders)
        truth.workers = frozenset(self.workers)
        cast = {session.pid for session in self.sessions} | self.workers
        truth.innocents = frozenset(cast - {hold.pid for hold in truth.holds})

    def play(self, script: Script) -> Generator[None]:
        """The script, with the truth brought up to date at each of its pauses and at its end."""
        with closing(script(self)) as acts:
            for _ in acts:
                self.until_only_these_wait()
                self.publish()
                yield
        self.settle(*[w for w in self.waitings if w.wait.outcome == "waiting"])
        self.publish()

    def restart(self) -> None:
        """A crash of the server and its start; only the control session comes back."""
        self.server.restart("immediate")
        self.control.connection.close()
        self.control = Control(self.server)

    def close(self) -> None:
        """Ends the script, every session, what they prepared, and the databases."""
        self.truth.script.close()
        for session in self.sessions:
            session.connection.close()
        for database in self.databases:
            query = "SELECT gid FROM pg_prepared_xacts WHERE database = %s"
            for (gid,) in self.control.rows(query, database):
                self.prepare(f"ROLLBACK PREPARED '{gid}'", database=database)
            self.control.connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        for role in self.roles:
            self.control.connection.execute(f"DROP ROLE {role}")
        self.control.connection.close()
