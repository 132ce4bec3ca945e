"""The command line: one file a command, and this list. Only this room prints or exits."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import signal
import sys
import threading
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from incident_rca import __version__
from incident_rca.cli import (
    attach,
    collect,
    config,
    demo,
    doctor,
    explain,
    import_files,
    init,
    lint,
    locks,
    plain_signs,
    record,
    report,
    rollup,
    run,
    stats,
    timeline,
    verify,
    whatif,
)
from incident_rca.cli.terminal import err, tell
from incident_rca.errors import ExitCode, IncidentRcaError

EPILOG = (
    "Exit codes: 0 complete, 1 findings at or above --fail-on, 2 usage or configuration, "
    "3 incomplete evidence, 4 no evidence, 70 a bug, 130 interrupted."
)

app = typer.Typer(
    name="incident-rca",
    help="Write a root-cause analysis in which every claim cites the rows that carry it.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.command("record")(record.record)
app.command("locks")(locks.locks)
app.command("run")(run.run)
app.command("collect")(collect.collect)
app.command("import")(import_files.import_files)
app.command("rollup")(rollup.rollup)
app.command("report")(report.report)
app.command("timeline")(timeline.timeline)
app.command("explain")(explain.explain)
app.command("verify")(verify.verify)
app.command("lint")(lint.lint)
app.command("stats")(stats.stats)
app.command("whatif")(whatif.whatif)
app.command("attach")(attach.attach)
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"incident-rca {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


# So many new objects before the first look for circles among them. Rows of tables are many and have
# none: with Python's own 700 the looking takes a twelfth of the time of a report.
_YOUNG_OBJECTS = 50_000


def _of_the_disk(error: OSError) -> IncidentRcaError:
    said = str(error.strerror or error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        # Its file may be the one that was read, which has room enough.
        return IncidentRcaError(
            said, hint="make room for the case and for scratch files, and run the command again"
        )
    named = f"{error.filename}: " if error.filename else ""
    return IncidentRcaError(f"{named}{said}", hint="check path and rights")


def main() -> NoReturn:
    """Runs the command line and ends the process.

    At once, for a file of a case is whole or absent by now: else threads that wait for a service
    would be waited for, and all that is held would be taken apart object by object, which takes a
    tenth of the time of a report.
    """
    code = exit_code()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)


def exit_code() -> int:
    """Runs the command line; every expected error becomes one line, a hint and an exit code."""
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign shows a replacement, not an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=plain_signs.ERRORS)
    interrupted = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    # Whoever started us in the background may have it ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        code = int(app(standalone_mode=False) or ExitCode.COMPLETE)
        # What was said and finds no room is an error; there is none where it was closed.
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:
        # Of an interrupt some libraries make an error of their own.
        return ExitCode.INTERRUPTED if interrupted.is_set() else _told(error)
    return code


def _told(error: Exception) -> ExitCode:
    """Says on stderr what is wrong and what to do, and returns with which code to end."""
    if isinstance(error, typer.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, TyperException):
        # Without a command typer has printed the help, and says nothing more.
        if str(error):
            tell(IncidentRcaError(str(error), hint="see `incident-rca --help`"))
        return ExitCode.USAGE
    if isinstance(error, IncidentRcaError):
        tell(error)
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe went away: nothing is left to say, and no one to say it to.
        sys.stdout = None
        return ExitCode.COMPLETE
    if isinstance(error, OSError):
        tell(_of_the_disk(error))
        return ExitCode.USAGE
    _tell_bug(error)
    return ExitCode.BUG


def _tell_bug(error: Exception) -> None:
    from incident_rca.redact import redact_text

    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "unknown"
    err().print(
        f"bug: {type(error).__name__}: {redact_text(str(error))} (at {place}, "
        f"incident-rca {__version__}); please report it with the command that you ran",
        soft_wrap=True,
    )
