"""Every format of a server log: what is read of it, what is refused, and what it cannot show.

Rows of the versions 12 and 13 are written by hand from their documentation; logs of real servers
are in tests/lab/test_server_logs.py.
"""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident_rca.errors import BadInput
from incident_rca.formats import BY_KIND
from incident_rca.formats.parsed import Parsed, RawInput
from incident_rca.formats.postgres_log.envelopes import entries_of_document
from incident_rca.formats.postgres_log.prefixes import WELL_KNOWN, compile_prefix, inferred
from incident_rca.formats.postgres_log.records import Record
from incident_rca.formats.postgres_log.streams import open_stream
from incident_rca.pipeline import parse_raw
from tests.formats.builders import acquired, edges, instant, kind_of, rows, waiting, write
from tests.formats.conftest import NewFolder

DAY = "2026-01-15"


def raw_of(path: Path, **reading: str) -> RawInput:
    return RawInput(path=path, file=path.name, source="s", work=path.parent, reading=reading)


def read(folder: Path, *lines: str, **reading: str) -> Parsed:
    path = write(folder / "server.log", *lines)
    return parse_raw(BY_KIND["postgres_log"], raw_of(path, **reading))


def records(folder: Path, *lines: str, **reading: str) -> list[Record]:
    stream = open_stream(raw_of(write(folder / "server.log", *lines), **reading))
    return [read for read in stream.reads if isinstance(read, Record)]


def wait_lines(prefix: str, clock: str, pid: int = 20, holders: str = "10") -> list[str]:
    """A wait in plain text; `{clock}` and `{pid}` stand in the prefix."""
    head = prefix.format(clock=f"{DAY} {clock}", pid=pid)
    noun = "Processes" if "," in holders else "Process"
    lock = "relation 16437 of database 5"
    return [
        f"{head}LOG:  process {pid} still waiting for RowExclusiveLock on {lock} after 1000.1 ms",
        f"{head}DETAIL:  {noun} holding the lock: {holders}. Wait queue: {pid}.",
        f"{head}STATEMENT:  INSERT INTO stock",
        "\t  VALUES (1)",
    ]


# --- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "written", "field", "value"),
    [
        ("%m [%p] ", f"{DAY} 14:23:02.123 CEST [812] ", "p", "812"),
        ("%-10p|", "812       |", "p", "812"),
        ("%10p|", "       812|", "p", "812"),
        ("%n %p ", "1768487001.123 812 ", "n", "1768487001.123"),
        ("%c:%s ", f"6968af88.32c:{DAY} 09:12:40 -03 ", "c", "6968af88.32c"),
        ("%r|%h|%L ", "10.0.0.1(5432)|10.0.0.1|10.0.0.9 ", "h", "10.0.0.1"),
        ("%r %p ", "2001:db8::1(5432) 812 ", "r", "2001:db8::1(5432)"),
        ("%u@%d/%a ", "app@shop/my app/x ", "a", "my app/x"),
        ("%b %P %l ", "parallel worker 811 3 ", "b", "parallel worker"),
        ("%b %P %l ", "client backend  3 ", "P", ""),
        ("%i|%e|%v|%x|%Q ", "INSERT waiting|55P03|5/2610|7339004|-4711 ", "i", "INSERT waiting"),
        ("100%% %p ", "100% 812 ", "p", "812"),
        ("%p %y%", "812 %", "p", "812"),
        ("%p %q%u ", "812 ", "u", ""),
        ("%p %q%u ", "812 app ", "u", "app"),
        ("[%p] (.*) ", "[812] (.*) ", "p", "812"),
    ],
)
def test_each_escape_is_read(prefix: str, written: str, field: str, value: str) -> None:
    fields = compile_prefix(prefix).fields(written)
    assert fields is not None and fields[field] == value
    assert compile_prefix(prefix).fields(f"{written}!") is None


@pytest.mark.parametrize("known", WELL_KNOWN, ids=lambda known: known.text)
def test_a_well_known_prefix_is_inferred(known: object) -> None:
    text = getattr(known, "text", "")
    values = {
        "%m": f"{DAY} 14:23:02.123 UTC", "%t": f"{DAY} 14:23:02 UTC", "%p": "812", "%u": "app",
        "%d": "shop", "%r": "10.0.0.1(5432)", "%h": "10.0.0.1", "%a": "api", "%l": "3",
        "%e": "00000", "%s": f"{DAY} 09:12:40 UTC", "%v": "5/26", "%x": "0", "%c": "6968af88.32c",
        "%q": "",
    }  # fmt: skip
    for escape, value in values.items():
        text = text.replace(escape, value)
    found = inferred([f"{text}LOG:  checkpoint starting: time"] * 3)
    assert found is not None and found.fields(text) is not None
    fields = found.fields(text) or {}
    assert fields.get("p", "812") == "812"
    assert not getattr(known, "text", "").count("%u") or fields["u"] == "app"


def test_lines_of_other_processes_stand_between(tmp_path: Path) -> None:
    prefix = "{clock} UTC [{pid}] "
    one = wait_lines(prefix, "14:23:02.000", 20, "10, 11")
    other = wait_lines(prefix, "14:23:02.001", 21, "10, 12")
    mixed = [one[0], other[0], other[1], one[1], one[2], one[3], other[2], other[3]]
    found = {r.pid: r for r in records(tmp_path, *mixed)}
    assert found[20].detail == "Processes holding the lock: 10, 11. Wait queue: 20."
    assert found[21].detail == "Processes holding the lock: 10, 12. Wait queue: 21."
    assert {r.statement for r in found.values()} == {"INSERT INTO stock\n  VALUES (1)"}
    assert [r.line for r in found.values()] == [1, 2]


def test_a_block_that_a_crash_left_is_counted_and_part_of_no_record(tmp_path: Path) -> None:
    prefix = "{clock} UTC [{pid}] "
    torn = "\0" * 4096 + wait_lines(prefix, "14:23:03.000", 21)[0]
    lines = [*wait_lines(prefix, "14:23:02.000"), torn, "of whom?"]
    lines += wait_lines(prefix, "14:23:04.000", 22)
    parsed = read(tmp_path, *lines)
    assert (parsed.rows, parsed.unparsed) == (2, 2)
    statements = [r.statement for r in records(tmp_path, *lines)]
    assert statements == ["INSERT INTO stock\n  VALUES (1)"] * 2


@pytest.mark.parametrize("name", ["stderr", "csvlog", "jsonlog"])
def test_the_mark_of_an_editor_costs_no_row(tmp_path: Path, name: str) -> None:
    line = {
        "stderr": wait_lines("{clock} UTC [{pid}] ", "14:23:02.000")[0],
        "csvlog": csv_row(26, "14:23:02.000", 20, "checkpoint starting: time"),
        "jsonlog": waiting("14:23:02", 20, [10]),
    }[name]
    parsed = read(tmp_path, "\ufeff" + line, line)
    assert (parsed.rows, parsed.unparsed) == (2, 0)


def test_a_detail_without_its_record_belongs_to_nobody(tmp_path: Path) -> None:
    lines = wait_lines("{clock} UTC [{pid}] ", "14:23:02.000")
    other = f"{DAY} 14:23:01.000 UTC [7] LOG:  checkpoint starting: time"
    parsed = read(tmp_path, other, *lines[1:])
    assert (parsed.rows, parsed.unparsed) == (1, 3)
    assert not len(parsed.frames["locks"])


def test_a_record_ends_where_the_next_of_its_process_begins(tmp_path: Path) -> None:
    head = f"{DAY} 14:23:01.000 UTC [7] "
    lines = [f"{head}LOG:  one", "\tmore", f"{head}LOG:  two", "\t", "\tlast"]
    assert [r.message for r in records(tmp_path, *lines)] == ["one\nmore", "two\n\nlast"]


def test_a_prefix_that_nobody_knows_is_read_by_its_time_and_pid(tmp_path: Path) -> None:
    lines = wait_lines("at={clock} UTC; proc[{pid}] of db1 >> ", "14:23:02.000")
    parsed = read(tmp_path, *lines)
    assert edges(parsed) == {("hard", 20, 10, "None")}
    assert kind_of(tmp_path / "server.log") == "postgres_log"


def test_heroku_writes_the_pid_in_front(tmp_path: Path) -> None:
    head = f"{DAY}T14:23:02.250000+00:00 app[postgres.20]: [DATABASE] [9-1]  sql_error_code = "
    message = "process 20 still waiting for ShareLock on transaction 9 after 1000.0 ms"
    parsed = read(
        tmp_path,
        f"{head}00000 LOG:  {message}",
        f"{head.replace('9-1', '9-2')}00000 DETAIL:  Process holding the lock: 10. Wait queue: 20.",
    )
    assert edges(parsed) == {("hard", 20, 10, "Exclusive")}
    (row,) = rows(parsed, "locks")
    assert row["wait_start"] == instant("14:23:01.250")


def test_a_prefix_without_a_process_still_shows_waits(tmp_path: Path) -> None:
    lines = wait_lines("{clock} UTC ", "14:23:02.000")
    parsed = read(tmp_path, *lines, log_line_prefix="%m ")
    assert edges(parsed) == {("hard", 20, 10, "None")}


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("ERROR:  canceling statement due to lock timeout", "lock_timeout"),
        ("ERROR:  canceling statement due to statement timeout", "cancelled"),
        ("ERROR:  canceling statement due to user request", "cancelled"),
        ("ERROR:  deadlock detected", "deadlock"),
        ("FATAL:  terminating connection due to administrator command", "terminated"),
        ("FATAL:  connection to client lost", "terminated"),
        ("ERROR:  division by zero", None),
    ],
)
def test_a_log_without_sqlstates_tells_how_a_wait_ended(
    tmp_path: Path, message: str, outcome: str | None
) -> None:
    lines = wait_lines("{clock} UTC [{pid}] ", "14:23:02.000")
    parsed = read(tmp_path, *lines, f"{DAY} 14:23:04.500 UTC [20] {message}")
    (row,) = [row for row in rows(parsed, "locks") if row["waiter_pid"]]
    assert (row["wait_end"], row["wait_outcome"]) == (instant("14:23:04.500"), outcome)
    assert row["wait_end_line"] == 5


@pytest.mark.parametrize(
    "line",
    [
        "[20] LOG:  disconnection: session time: 0:00:09 user=app database=shop host=[local]",
        "[21] ERROR:  canceling statement due to lock timeout",
        "[7] LOG:  checkpoint starting: time",
    ],
)
def test_a_wait_whose_end_nobody_logged_stays_open(tmp_path: Path, line: str) -> None:
    lines = wait_lines("{clock} UTC [{pid}] ", "14:23:02.000")
    (row,) = rows(read(tmp_path, *lines, f"{DAY} 14:23:04.500 UTC {line}"), "locks")
    assert (row["wait_end"], row["wait_outcome"]) == (None, None)


def test_a_process_id_that_is_used_again_is_another_session(tmp_path: Path) -> None:
    first = wait_lines("{clock} UTC 6968af88.14 ", "14:23:02.000")
    again = wait_lines("{clock} UTC 6968af99.14 ", "14:25:02.000")
    parsed = read(tmp_path, *first, *again, log_line_prefix="%m %c ")
    begun = [datetime.fromtimestamp(int(s, 16), UTC) for s in ("6968af88", "6968af99")]
    assert [(r["waiter_session"], r["wait_end"]) for r in rows(parsed, "locks")] == [
        (f"20@{at:%Y-%m-%dT%H:%M:%SZ}", None) for at in begun
    ]


# --- csvlog -------------------------------------------------------------------------------------


def csv_row(width: int, clock: str, pid: int, message: str, detail: str = "", sql: str = "") -> str:
    """One row of csvlog: 23 columns in version 12, 24 in 13, 26 since 14."""
    fields = [""] * 26
    fields[:9] = [
        *(f"{DAY} {clock} UTC", "app", "shop", str(pid), "10.0.0.1:5432", f"6968af88.{pid:x}"),
        *("3", "INSERT waiting", f"{DAY} 09:12:40 UTC"),
    ]
    fields[11:15] = ["LOG", "00000", message, detail]
    fields[19], fields[22], fields[23] = sql, f"app-{pid}", "client backend"
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(fields[:width])
    return out.getvalue()


def csv_wait(width: int, pid: int = 20) -> str:
    message = json.loads(waiting("14:23:02", pid, [10]))["message"]
    detail = f"Process holding the lock: 10. Wait queue: {pid}."
    sql = 'INSERT INTO "stock"\nVALUES (1, \'a,"b\')'
    return csv_row(width, "14:23:02.000", pid, message, detail, sql)


@pytest.mark.parametrize("width", [23, 24, 26])
def test_csvlog_of_each_version_is_read(tmp_path: Path, width: int) -> None:
    parsed = read(tmp_path, csv_wait(width))
    (row,) = rows(parsed, "locks")
    assert (row["waiter_pid"], row["holder_pid"], row["relation"]) == (20, 10, "stock")
    assert (row["waiter_session"], row["waiter_application"]) == (
        f"20@{DAY}T09:12:40Z",
        "app-20",
    )
    assert kind_of(tmp_path / "server.log") == "postgres_log"


@pytest.mark.parametrize("width", [22, 25, 27])
def test_a_row_of_another_width_is_no_row(tmp_path: Path, width: int) -> None:
    row = csv_wait(26) + "," if width == 27 else csv_row(26, "14:23:02.000", 7, "x")
    torn = row if width == 27 else ",".join(row.split(",")[:width])
    parsed = read(tmp_path, csv_wait(26), "", torn)
    assert (parsed.rows, parsed.unparsed) == (1, 1)


def test_a_torn_row_hides_no_other(tmp_path: Path) -> None:
    whole = csv_wait(26, 21)
    for cut in range(1, len(csv_wait(22))):
        torn = csv_wait(26)[:cut]
        parsed = read(tmp_path, csv_wait(26, 22), torn, whole)
        pids = {r["waiter_pid"] for r in rows(parsed, "locks")}
        assert pids == {21, 22}, torn
        assert (parsed.rows, parsed.unparsed) == (2, 1)


def test_a_row_inside_a_statement_is_text(tmp_path: Path) -> None:
    forged = csv_wait(26, 66).replace('"', "'")
    sql = f"SELECT 1\n{forged}\n"
    parsed = read(tmp_path, csv_row(26, "14:23:02.000", 7, "statement: x", "", sql), csv_wait(26))
    assert {r["waiter_pid"] for r in rows(parsed, "locks")} == {20}
    assert (parsed.rows, parsed.unparsed) == (2, 0)


# --- time zones ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "zone", "log_timezone", "at"),
    [
        ("2026-01-15 15:23:02.250", "CET", "Europe/Berlin", "2026-01-15 14:23:02.250"),
        ("2026-07-15 16:23:02.250", "CEST", "Europe/Berlin", "2026-07-15 14:23:02.250"),
        ("2026-10-25 02:30:00.000", "CEST", "Europe/Berlin", "2026-10-25 00:30:00"),
        ("2026-10-25 02:30:00.000", "CET", "Europe/Berlin", "2026-10-25 01:30:00"),
        ("2026-01-15 08:23:02.250", "CST", "America/Chicago", "2026-01-15 14:23:02.250"),
        ("2026-01-15 22:23:02.250", "CST", "Asia/Shanghai", "2026-01-15 14:23:02.250"),
        ("2026-01-15 14:23:02.250", "UTC", "Europe/Berlin", "2026-01-15 14:23:02.250"),
        ("2026-01-15 11:23:02.250", "-03", "Europe/Berlin", "2026-01-15 14:23:02.250"),
    ],
)
def test_an_abbreviation_is_read_with_the_servers_zone(
    tmp_path: Path, clock: str, zone: str, log_timezone: str, at: str
) -> None:
    line = f"{clock} {zone} [7] LOG:  checkpoint starting: time"
    (found,) = records(tmp_path, line, log_timezone=log_timezone)
    assert found.at == datetime.fromisoformat(f"{at}+00:00")


@pytest.mark.parametrize("log_timezone", ["", "America/New_York"])
def test_an_abbreviation_of_no_known_zone_is_refused(tmp_path: Path, log_timezone: str) -> None:
    reading = {"log_timezone": log_timezone} if log_timezone else {}
    lines = [f"{DAY} 15:23:02.250 CET [7] LOG:  x", f"{DAY} 14:23:02.250 UTC [7] LOG:  x"]
    parsed = read(tmp_path, *lines, **reading)
    assert (parsed.rows, parsed.unparsed) == (1, 1)
    assert "CET" in parsed.blind and "--log-timezone" in parsed.blind


@pytest.mark.parametrize("log_timezone", ["Berlin", "../../etc/passwd", "UTC+1", "Europe/"])
def test_a_time_zone_that_does_not_exist_is_said(tmp_path: Path, log_timezone: str) -> None:
    with pytest.raises(BadInput, match="log-timezone") as raised:
        read(tmp_path, "x", log_timezone=log_timezone)
    assert "Europe/Berlin" in raised.value.hint


# --- what a log cannot show ---------------------------------------------------------------------

HEAD = f"{DAY} 14:23:02.250 UTC [7] "
NOT_KNOWN = "whether the setting was on is not known"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["LOG:  checkpoint starting: time"], NOT_KNOWN),
        (['LOG:  parameter "log_lock_waits" changed to "on"'], ""),
        (['LOG:  parameter "log_lock_waits" changed to "off"'], "changed to off"),
        (["ERROR:  deadlock detected"], "1 errors of deadlock or lock_timeout"),
        (["FEHLER:  Division durch Null"], "localised (FEHLER)"),
        (["ERREUR:  division par zéro"], "localised (ERREUR)"),
        (["ERREUR :  division par zéro"], "localised (ERREUR)"),
        (["エラー:  0 による除算が行われました"], "localised (エラー)"),
        (["LOG:  Anweisung: x", "ANWEISUNG:  x"], "localised (ANWEISUNG)"),
    ],
)
def test_no_waits_and_not_recorded_are_told_apart(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    parsed = read(tmp_path, *(f"{HEAD}{line}" for line in lines))
    assert said in parsed.blind and bool(said) == bool(parsed.blind)


def test_a_log_with_waits_is_not_blind(tmp_path: Path) -> None:
    assert read(tmp_path, *wait_lines("{clock} UTC [{pid}] ", "14:23:02.000")).blind == ""


def test_raise_log_forges_no_wait(tmp_path: Path) -> None:
    line = json.loads(waiting("14:23:02", 20, [10]))
    line["context"] = "PL/pgSQL function inline_code_block line 1 at RAISE"
    other = json.loads(waiting("14:23:02", 20, [10])) | {"pid": 21}
    parsed = read(tmp_path, json.dumps(line), json.dumps(other))
    assert not len(parsed.frames["locks"]) and parsed.rows == 2


# --- deadlocks ----------------------------------------------------------------------------------


def deadlock(*waits: tuple[int, str, str, int]) -> list[str]:
    """A report that the first of the waiting processes writes, without any line of a wait."""
    edges_ = [f"Process {p} waits for {m} on {o}; blocked by process {b}." for p, m, o, b in waits]
    running = [f"Process {p}: COPY t_{p} FROM 'x' WHERE b = {p}7" for p, *_ in waits]
    head = f"{DAY} 14:23:02.250 UTC [{waits[0][0]}] "
    first, *more = [*edges_, *running]
    lines = [f"{head}ERROR:  deadlock detected", f"{head}DETAIL:  {first}"]
    return [*lines, *(f"\t{line}" for line in more)]


def test_a_deadlock_is_edges_even_without_lines_of_its_waits(tmp_path: Path) -> None:
    report = deadlock((1, "ShareLock", "transaction 9", 2), (2, "ShareLock", "transaction 8", 1))
    parsed = read(tmp_path, *report)
    assert edges(parsed) == {("hard", 1, 2, "Exclusive"), ("hard", 2, 1, "Exclusive")}
    by_pid = {row["waiter_pid"]: row for row in rows(parsed, "locks")}
    assert (by_pid[1]["wait_outcome"], by_pid[1]["wait_start"]) == ("deadlock", None)
    assert (by_pid[2]["wait_outcome"], by_pid[2]["relation"]) == (None, "t_2")
    (event,) = rows(parsed, "server_events")
    assert event["kind"] == "deadlock" and "17" not in event["message"].replace("2:17", "")


def test_in_a_longer_circle_who_waits_for_the_same_lock_may_only_be_ahead(tmp_path: Path) -> None:
    table = "relation 16437 of database 5"
    parsed = read(
        tmp_path,
        *deadlock(
            (1, "RowExclusiveLock", table, 2),
            (2, "AccessExclusiveLock", table, 3),
            (3, "ShareLock", "transaction 8", 1),
        ),
    )
    assert edges(parsed) == {
        ("named", 1, 2, "None"),
        ("hard", 2, 3, "None"),
        ("hard", 3, 1, "Exclusive"),
    }


# --- documents and recognition ------------------------------------------------------------------


@given(
    values=st.lists(st.dictionaries(st.text(max_size=4), st.text(), max_size=3), max_size=5),
    indent=st.sampled_from([None, 1]),
    size=st.integers(1, 40),
    is_bare=st.booleans(),
)
def test_entries_are_found_however_the_document_is_cut(
    values: list[dict[str, str]], indent: int | None, size: int, is_bare: bool
) -> None:
    data = json.dumps(values if is_bare else {"a": [1, "]"], "events": values}, indent=indent)
    whole = data.encode()
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert list(entries_of_document(chunks)) == list(enumerate(values, start=1))


LIKE_A_LOG = {
    "an application's log": f"{DAY} 14:23:02.250 ERROR: no such order\n" * 3,
    "no process": f"{DAY} 14:23:02.250 UTC LOG:  something\n",
    "one blank": f"{DAY} 14:23:02.250 UTC [7] LOG: something\n",
    "a detail alone": f"{DAY} 14:23:02.250 UTC [7] DETAIL:  something\n",
    "messages of an application": json.dumps({"timestamp": 1, "message": "ERROR:  [7] x"}) + "\n",
    "events of an application": json.dumps({"events": [{"timestamp": 1, "message": "GET /"}]}),
    "no events": json.dumps({"events": []}),
    "another program of the operator": '{"logger": "instance-manager", "record": {}}\n',
    "a table": f"{DAY} 14:23:02.250 UTC,1,2,3\n",
}


@pytest.mark.parametrize("name", LIKE_A_LOG)
def test_what_is_like_a_log_is_none(tmp_path: Path, name: str) -> None:
    assert kind_of(write(tmp_path / "x", LIKE_A_LOG[name])) is None


def peak_bytes(folder: Path, count: int) -> int:
    """The most memory at once while a log of many statements of five processes is read."""
    lines = (
        f"{DAY} 14:{n // 60 % 60:02}:{n % 60:02}.000 UTC [{n % 5}] LOG:  duration: 1.5 ms  "
        f"statement: SELECT {n}"
        for n in range(count)
    )
    raw = raw_of(write(folder / "server.log", *lines))
    tracemalloc.start()
    try:
        assert BY_KIND["postgres_log"].parse(raw).rows == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_a_log_that_holds_no_waits(tmp_path: Path) -> None:
    peak_bytes(tmp_path, 100)
    few, many = peak_bytes(tmp_path, 10_000), peak_bytes(tmp_path, 40_000)
    # The file is read in pieces of 1 MiB, which the shorter log does not fill.
    assert many < few + (3 << 20) and many < (tmp_path / "server.log").stat().st_size * 2


# --- any bytes ----------------------------------------------------------------------------------

SAMPLE = [
    *wait_lines("{clock} UTC [{pid}] ", "14:23:02.000"),
    *wait_lines("{clock} UTC [{pid}] ", "14:23:02.500", 21, "10, 11"),
    *deadlock((1, "ShareLock", "transaction 9", 2), (2, "ShareLock", "transaction 8", 1)),
    f"{DAY} 14:24:00.000 UTC [10] LOG:  duration: 61000.0 ms  statement: CREATE INDEX i ON stock",
]
JSON_LINES = [waiting("14:23:02", 20, [10]), acquired("14:24:00", 20, after=59_000)]
SAMPLES = [SAMPLE, JSON_LINES, [csv_wait(26), csv_wait(24, 21)], [json.dumps({"events": []})]]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Lines of a real kind of log: mixed, cut, repeated and with bytes changed."""
    lines = draw(st.lists(st.sampled_from(draw(st.sampled_from(SAMPLES))), max_size=12))
    data = bytearray("\n".join(lines).encode())
    for _ in range(draw(st.integers(0, 4))):
        if data:
            at = draw(st.integers(0, len(data) - 1))
            data[at : at + draw(st.integers(0, 9))] = draw(st.binary(max_size=5))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(data=damaged() | st.binary(max_size=300))
def test_any_bytes_are_rows_or_unparsed(data: bytes, new_folder: NewFolder) -> None:
    path = new_folder() / "x"
    path.write_bytes(data)
    parsed = parse_raw(BY_KIND["postgres_log"], raw_of(path))
    assert parsed.rows >= 0 and parsed.unparsed >= 0
    if not data.startswith(b"\x1f\x8b"):
        assert _is_printable(data) == bool(parsed.rows + parsed.unparsed)


def _is_printable(data: bytes) -> bool:
    """Whether a line holds more than blanks."""
    return any(line.decode("utf-8", "replace").strip() for line in data.split(b"\n"))


@settings(max_examples=200, deadline=None)
@given(order=st.lists(st.integers(0, 30), min_size=1, max_size=31), data=st.data())
def test_each_record_of_text_is_counted_once(
    order: list[int], data: st.DataObject, new_folder: NewFolder
) -> None:
    """Records of many processes, their lines interleaved in any order that keeps each process's."""
    waiting_lines = {
        pid: wait_lines("{clock} UTC [{pid}] ", f"14:23:{number % 60:02}.000", 100 + pid)[:3]
        for number, pid in enumerate(dict.fromkeys(order))
    }
    mixed: list[str] = []
    left = {pid: list(lines) for pid, lines in waiting_lines.items()}
    while left:
        pid = data.draw(st.sampled_from(sorted(left)))
        mixed.append(left[pid].pop(0))
        if not left[pid]:
            del left[pid]
    found = records(new_folder(), *mixed)
    assert {r.pid for r in found} == {100 + pid for pid in waiting_lines}
    assert all(f"Wait queue: {r.pid}." in r.detail and r.statement for r in found)
    assert [r.line for r in found] == sorted(r.line for r in found)
