"""What goes to stdout and stderr, in which form, and that hostile text stays text."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.cli.running import ANSI, COMMAND, Ran, environment, refused, run
from tests.formats.builders import Snapshot, acquired, header, record, request, waiting, write

# As `python -m` begins, and as what is installed does.
_PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
_MODULE, _, _NAME = _PROJECT["scripts"]["incident-rca"].partition(":")
ENTRIES = {
    "module": ["-m", "incident_rca"],
    "script": ["-c", f"from {_MODULE} import {_NAME}; {_NAME}()"],
}
COMMANDS = ("demo", "import", "report", "timeline", "explain", "verify", "config show")


# --- help and the rest --------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(tmp_path: Path, command: str) -> None:
    ran = run(tmp_path, *command.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert re.search(rf"Example: incident-rca {command}\b", ran.out)


def test_the_help_names_every_command_and_exit_code(tmp_path: Path) -> None:
    ran = run(tmp_path, "--help")
    assert ran.code == 0
    assert all(re.search(rf"\b{command.split()[0]}\b", ran.out) for command in COMMANDS)
    assert all(re.search(rf"\b{code}\b", ran.out) for code in (0, 1, 2, 3, 4, 70, 130))
    assert run(tmp_path, "-h").out == ran.out


def test_the_version(tmp_path: Path) -> None:
    from incident_rca import __version__

    assert run(tmp_path, "--version") == Ran(0, f"incident-rca {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [("reprot", "INC-1"), ("report",), ("report", "INC-1", "--bogus"), ("import", "INC-1")],
    ids=" ".join,
)
def test_a_wrong_command_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = run(tmp_path, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.errors) == 1


def test_an_unknown_severity(small: Path) -> None:
    ran = run(small.parent, "report", small.name, "--fail-on", "awful")
    assert (ran.code, ran.out) == (2, "") and "critical" in ran.err


def test_an_unknown_hypothesis(demo: tuple[Path, Ran]) -> None:
    case, _ = demo
    ran = refused(2, case.parent, "explain", "demo", "H99")
    assert "H99" in ran.errors[0] and "H1" in ran.hints[0]


def test_an_interrupt(tmp_path: Path) -> None:
    """The settings come from a pipe that nobody fills, so the command waits."""
    fifo = tmp_path / "settings"
    os.mkfifo(fifo)
    child = subprocess.Popen(
        [*COMMAND, "config", "show", "--config", str(fifo)],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with fifo.open("wb"):
        child.send_signal(signal.SIGINT)
        out, err = child.communicate()
    assert child.returncode == 130
    assert out == b"" and b"Traceback" not in err


@pytest.mark.parametrize(
    "last", ["signal", "typer", "incident_rca.cli.terminal", "incident_rca.cli"]
)
@pytest.mark.parametrize("entry", ["module", "script"])
def test_an_interrupt_while_modules_load(tmp_path: Path, entry: str, last: str) -> None:
    """Python says of each module that it is loaded: those of ours come behind our first line."""
    fifo = tmp_path / "settings"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *ENTRIES[entry], "config", "show", "--config", fifo],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout and child.stderr
        loaded = (line.rpartition("|")[2].strip() for line in child.stderr)
        assert "incident_rca" in loaded and last in loaded
        child.send_signal(signal.SIGINT)
        left = child.stderr.read()
        assert child.stdout.read() == ""
    assert child.returncode == 130
    assert [line for line in left.splitlines() if not line.startswith("import time:")] == []


@pytest.mark.parametrize(("redirected", "code"), [(">&-", 0), (">/dev/full", 2)])
def test_what_finds_no_room_is_an_error_and_a_closed_output_none(
    tmp_path: Path, redirected: str, code: int
) -> None:
    ran = subprocess.run(
        ["sh", "-c", f"{shlex.join(COMMAND)} config show {redirected}"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ran.returncode == code
    assert ("No space left" in ran.stderr, "bug" in ran.stderr) == (code != 0, False)


WRAPPED = """
import os, signal, time
from incident_rca import cli

@cli.app.command("wait")
def wait() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt as interrupt:
        raise RuntimeError("Traceback of it") from interrupt

cli.main()
"""


def test_an_interrupt_of_which_a_library_made_an_error(tmp_path: Path) -> None:
    """As DuckDB does while it reads a frame."""
    ran = subprocess.run(
        [sys.executable, "-c", WRAPPED, "wait"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")


# --- data and everything else -------------------------------------------------------------------


def test_explain_without_an_id_shows_the_whole_chain(demo: tuple[Path, Ran]) -> None:
    """Each hypothesis once, what started it first, and one claim with its evidence for each."""
    case, _ = demo
    report = json.loads((case / "report.json").read_text())
    shown = run(case.parent, "explain", "demo").out
    ids = re.findall(r"^(H\d+) ", shown, re.M)
    assert sorted(ids) == sorted(h["id"] for h in report["hypotheses"])
    assert ids[0] == next(h["id"] for h in report["hypotheses"] if h["role"] == "trigger")
    assert len(re.findall(r"\b[LMGCS][0-9a-f]{4,}\b", shown)) >= len(ids)
    one = run(case.parent, "explain", "demo", "H1").out
    assert "What would change the verdict:" in one


def test_json_is_all_there_is_on_stdout(demo: tuple[Path, Ran]) -> None:
    case, _ = demo
    report = json.loads((case / "report.json").read_text())
    assert json.loads(run(case.parent, "report", "demo", "--json").out) == report
    assert json.loads(run(case.parent, "timeline", "demo", "--json").out) == report["timeline"]
    explained = json.loads(run(case.parent, "explain", "demo", "h1", "--json").out)
    assert explained["hypothesis"] == report["hypotheses"][0]
    assert explained["would_change"]
    chain = json.loads(run(case.parent, "explain", "demo", "--json").out)
    assert chain == {key: report[key] for key in ("hypotheses", "states", "unexplained")}
    cited = {i for c in report["hypotheses"][0]["claims"] for i in c["evidence"]}
    assert {e["id"] for e in explained["evidence"]} == cited
    checks = json.loads(run(case.parent, "verify", "demo", "--json").out)
    assert checks and all(check["ok"] for check in checks)


def test_quiet_prints_errors_only(demo: tuple[Path, Ran], tmp_path: Path, files: Path) -> None:
    case, _ = demo
    assert run(case.parent, "report", "demo", "-q") == Ran(0, "", "")
    assert run(case.parent, "verify", "demo", "--quiet") == Ran(0, "", "")
    assert run(tmp_path, "import", "INC-1", files / "access.ndjson", "-q") == Ran(0, "", "")
    ran = run(tmp_path, "import", "INC-1", files / "notes.txt", "-q")
    assert ran.code == 2 and ran.out == "" and len(ran.errors) == 1


def test_fail_on(demo: tuple[Path, Ran], small: Path) -> None:
    case, _ = demo
    severities = {f["severity"] for f in json.loads((case / "report.json").read_text())["findings"]}
    assert severities
    ran = run(case.parent, "report", "demo", "--fail-on", "medium")
    assert ran.code == 1 and ran.out and not ran.errors
    expected = 1 if "critical" in severities else 0
    assert run(case.parent, "report", "demo", "--fail-on", "critical", "-q").code == expected


@pytest.mark.parametrize("command", ["timeline demo", "report demo --json"])
def test_a_reader_that_leaves_early(demo: tuple[Path, Ran], command: str) -> None:
    case, _ = demo
    done = subprocess.run(
        f"{shlex.join(COMMAND)} {command} | head -c 1",
        shell=True,
        cwd=case.parent,
        env=environment(case.parent),
        capture_output=True,
        check=False,
    )
    assert len(done.stdout) == 1
    assert b"Traceback" not in done.stderr and b"bug:" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def on_a_terminal(cwd: Path, *arguments: str, **more: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (60, 140))
    child = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(cwd, **more),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert child.wait() == 0
    return b"".join(parts).decode()


COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m")


def test_a_terminal_has_colours_unless_it_wants_none(demo: tuple[Path, Ran]) -> None:
    case, _ = demo
    plain = on_a_terminal(case.parent, "timeline", "demo", TERM="dumb")
    assert "PostgreSQL" in plain and len(plain.splitlines()) > 20
    assert not ANSI.search(plain)
    without = on_a_terminal(case.parent, "report", "demo", TERM="xterm-256color", NO_COLOR="1")
    assert "stock_reservations" in without
    assert not COLOUR.search(without)


def test_no_locale_is_no_obstacle(demo: tuple[Path, Ran]) -> None:
    case, _ = demo
    before = (case / "report.md").read_bytes()
    more = {"LC_ALL": "C", "LANG": "C", "TZ": "Asia/Tokyo", "PYTHONIOENCODING": "ascii"}
    ran = run(case.parent, "report", "demo", **more)
    assert ran.code == 0
    assert (case / "report.md").read_bytes() == before


# --- hostile text -------------------------------------------------------------------------------

HOSTILE = (
    "\x1b[31mred\x1b[0m \x9b1m \x07 \u202eevil [bold]loud[/bold] "
    "[link=http://evil.example]x[/link] "
    "a|b `code` <script>alert(1)</script> --> <!-- incident-rca:end summary --> "
    "<!-- incident-rca:begin summary sha256:00000000 --> ![i](http://evil.example/x.png) "
    "\r\n# Root cause\n```\n| --- |\n@everyone {{ 7 * 7 }} $x$"
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reported case whose routes, messages, statements and names all attack the report."""
    folder = tmp_path_factory.mktemp("hostile")
    bad = {"status": "502", "integrationStatus": "502", "integration_status": "502"}
    route = f"/api/{HOSTILE}"
    log = [request(n * 5.0, resourcePath=route, httpMethod=HOSTILE) for n in range(120)]
    log += [
        request(
            600.0 + n,
            resourcePath=route,
            httpMethod=HOSTILE,
            requestId=HOSTILE + str(n),
            extendedRequestId="-",
            integrationErrorMessage=HOSTILE,
            **bad,
        )
        for n in range(60)
    ]
    index = f'CREATE INDEX i ON stock ("{HOSTILE}")'
    insert = " ".join(["INSERT INTO stock", f'("{HOSTILE}")', "VALUES (1)"])
    server = [
        record("14:19:55", 10, f"statement: {index}", application_name=HOSTILE),
        *(waiting(f"14:20:{n:02}", 20 + n, [10], statement=insert) for n in range(30)),
        *(acquired("14:21:00", 20 + n, after=60_000.0 - 1000 * n) for n in range(30)),
        record("14:21:00", 10, "duration: 65000.000 ms", application_name=HOSTILE),
        record("14:21:01", 9, HOSTILE, error_severity="ERROR", state_code=HOSTILE),
    ]
    locks = [header()]
    for second in range(30):
        snapshot = Snapshot(
            clock=f"14:20:{second:02}",
            names=((5, HOSTILE),),
            relations=((HOSTILE, 16437, HOSTILE, HOSTILE, "r", 1e6),),
        )
        snapshot.lock(10, "Share").session(10, index, application_name=HOSTILE)
        snapshot.lock(20, "RowExclusive", granted=False)
        snapshot.session(20, insert, application_name=HOSTILE, blocking_pids=[10])
        locks.append(snapshot.line())
    given = [
        write(folder / "access.ndjson", *log),
        write(folder / "postgresql.json", *server),
        write(folder / "[red]locks|<b>.ndjson", *locks),
    ]
    title = HOSTILE.replace("\x00", "")
    ran = run(folder, "import", "INC-1", *given, "--title", title)
    assert ran.code == 0 and not ran.errors
    assert run(folder, "report", "INC-1").code == 0
    return folder / "INC-1"


def test_hostile_text_passes_verify(hostile: Path) -> None:
    assert run(hostile.parent, "verify", "INC-1").code == 0
    assert run(hostile.parent, "report", "INC-1").code == 0


def test_hostile_text_is_in_the_report_as_text(hostile: Path) -> None:
    text = (hostile / "report.md").read_text()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "red" in text and "loud" in text
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<script" not in html and "evil.example/x.png</a>" not in html
    assert set(re.findall(r'<img src="([^"]*)" alt="[^"<>]*" />', html)) == {
        f"charts/{path.name}" for path in (hostile / "charts").glob("*.png")
    }
    assert html.count("<img") == len(list((hostile / "charts").glob("*.png")))
    assert 'href="http://evil' not in html
    begins = re.findall(r"^<!-- incident-rca:begin (\S+)", text, re.M)
    ends = re.findall(r"^<!-- incident-rca:end (\S+)", text, re.M)
    assert begins == ends and len(set(begins)) == len(begins)
    assert text.count("\n# ") + text.startswith("# ") == 1
    assert "everyone 49" not in text.replace("`", "")


def test_hostile_text_never_reaches_the_terminal(hostile: Path) -> None:
    """`run` itself refuses escapes in the output of any command."""
    ran = run(hostile.parent, "report", "INC-1")
    shown = [ran.out, run(hostile.parent, "timeline", "INC-1").out]
    ids = [h["id"] for h in json.loads((hostile / "report.json").read_text())["hypotheses"]]
    assert ids
    shown.append(run(hostile.parent, "explain", "INC-1", ids[0]).out)
    shown.append(run(hostile.parent, "explain", "INC-1", "\x1b[31mH9").err)
    for text in shown:
        assert text.strip()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "[bold]" in "".join(shown)
