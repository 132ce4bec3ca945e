"""What PostgreSQL's messages about locks say, by the texts of its source.

proc.c, ProcSleep: `process N still waiting for MODE on LOCK after T ms` and its other verbs, with
the DETAIL `Process holding the lock: A. Wait queue: B, C.`; lmgr.c, DescribeLockTag: the locks;
deadlock.c, DeadLockReport: `Process A waits for MODE on LOCK; blocked by process B.`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from incident_rca.redact import redact_sql

_WAIT = re.compile(
    r"process (?P<pid>\d{1,10}) (?P<verb>still waiting for|acquired|avoided deadlock for"
    r"|detected deadlock while waiting for|failed to acquire) (?P<mode>\w+) on (?P<lock>.+?)"
    r"(?: by rearranging queue order)? after (?P<ms>\d{1,12}(?:\.\d+)?) ms(?: at character \d+)?"
)
_DETAIL = re.compile(
    r"Process(?:es)? holding the lock: (?P<holders>\d+(?:, \d+)*|)\. ?"
    r"(?:Wait queue: (?P<queue>\d+(?:, \d+)*|)\.)?"
)
_BLOCKED = re.compile(
    r"Process (?P<pid>\d{1,10}) waits for (?P<mode>\w+) on (?P<lock>.+?)"
    r"(?:; blocked by process (?P<blocker>\d{1,10}))?\."
)
_STATEMENT_OF = re.compile(r"(?P<who>Process \d{1,10}): (?P<sql>.*)", re.S)
_CANCELLED_WORKER = re.compile(r"sending cancel to blocking autovacuum PID (?P<pid>\d{1,10})")
_RELATION = r"relation (?P<relation>\d{1,10}) of database (?P<database>\d{1,10})"
# The names are those of pg_locks.locktype.
_LOCK_TYPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("relation", _RELATION),
        ("extend", rf"extension of {_RELATION}"),
        ("page", rf"page \d+ of {_RELATION}"),
        ("tuple", rf"tuple \((?P<row>\d+,\d+)\) of {_RELATION}"),
        ("transactionid", r"transaction \d+"),
        ("virtualxid", r"virtual transaction -?\d+/\d+"),
        ("spectoken", r"speculative token \d+ of transaction \d+"),
        ("object", r"object \d+ of class \d+ of database \d+"),
        ("advisory", r"advisory lock \[\d+,\d+,\d+,\d+\]"),
        ("applytransaction", r"remote transaction \d+ of subscription \d+ of database \d+"),
        ("frozenid", r"pg_database\.datfrozenxid of database \d+"),
        ("userlock", r"user lock \[\d+,\d+,\d+\]"),
    )
)
ROW_LOCKS = frozenset({"transactionid", "tuple"})
# Who has the id of a transaction, virtual transaction or speculative insertion has locked it
# exclusively, and nobody else can (lmgr.c: XactLockTableInsert, SpeculativeInsertionLockAcquire;
# lock.c: VirtualXactLock); all others only ask for ShareLock, and give it back at once.
OWNED_LOCKS = frozenset({"transactionid", "virtualxid", "spectoken"})


@dataclass(frozen=True, slots=True)
class Lock:
    """What is locked: the server's words, its type in pg_locks, and its parts where it has them."""

    text: str
    type: str | None = None
    relation_oid: int | None = None
    database_oid: int | None = None
    row: str = ""

    @property
    def is_owned(self) -> bool:
        return self.type in OWNED_LOCKS


@dataclass(frozen=True, slots=True)
class WaitMessage:
    """One line about a wait: whose, for what, since how long."""

    pid: int
    verb: str
    mode: str
    lock: Lock
    waited_ms: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """One line of a deadlock report, or of a cancelled autovacuum (without `blocker`)."""

    pid: int
    mode: str
    lock: Lock
    blocker: int | None


def wait_of(message: str) -> WaitMessage | None:
    """The wait that a message is about, or None.

    >>> wait_of("process 7 acquired ShareLock on transaction 9 after 12.5 ms").lock.type
    'transactionid'
    """
    if not message.startswith("process "):
        return None
    found = _WAIT.fullmatch(message)
    if found is None:
        return None
    lock, waited = lock_of(found["lock"]), float(found["ms"])
    return WaitMessage(int(found["pid"]), found["verb"], found["mode"], lock, waited)


def lock_of(text: str) -> Lock:
    """The lock that the server describes so; of an unknown kind it has the words only."""
    text = text.replace('"', "")
    for name, pattern in _LOCK_TYPES:
        found = pattern.fullmatch(text)
        if found:
            parts: Mapping[str, str] = found.groupdict()
            return Lock(
                text,
                name,
                int(parts["relation"]) if "relation" in parts else None,
                int(parts["database"]) if "database" in parts else None,
                parts.get("row", ""),
            )
    return Lock(text)


def holders_and_queue(detail: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The processes that have a granted lock there and wait for nothing there, and those that wait.

    Who waits is named in the queue only, even if it holds a weaker lock there already. The queue is
    written in the order in which the processes first asked, which is not the order of waking.
    """
    found = _DETAIL.search(detail)
    if found is None:
        return None
    return _pids(found["holders"]), _pids(found["queue"] or "")


def _pids(text: str) -> tuple[int, ...]:
    return tuple(int(pid) for pid in text.split(", ") if len(pid) <= 10) if text else ()


def blocked_in(detail: str) -> Iterator[Blocked]:
    """Who waits for whom by a deadlock report's DETAIL."""
    for line in detail.split("\n"):
        found = _BLOCKED.fullmatch(line.strip())
        if found:
            blocker = int(found["blocker"]) if found["blocker"] else None
            yield Blocked(int(found["pid"]), found["mode"], lock_of(found["lock"]), blocker)


def cancelled_worker(message: str) -> int | None:
    """The autovacuum worker that a waiting process sends away, or None."""
    found = _CANCELLED_WORKER.fullmatch(message)
    return int(found["pid"]) if found else None


def redacted_report(detail: str) -> str:
    """A deadlock's DETAIL, whose statements have no literals."""
    return "\n".join(
        f"{found['who']}: {redact_sql(found['sql'])}" if found else line
        for line in _report_lines(detail)
        for found in (_STATEMENT_OF.fullmatch(line),)
    )


def statements_in(detail: str) -> dict[int, str]:
    """What each process of a deadlock was running, as its report says behind the edges."""
    found = (_STATEMENT_OF.fullmatch(line) for line in _report_lines(detail))
    return {int(f["who"].split()[1]): f["sql"] for f in found if f}


def _report_lines(detail: str) -> list[str]:
    """The lines of a report; each that begins with `Process N` is one, with those behind it."""
    lines: list[str] = []
    for line in detail.split("\n"):
        if lines and not line.startswith("Process "):
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
    return lines
