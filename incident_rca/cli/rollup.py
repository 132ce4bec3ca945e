"""`incident-rca rollup`: counts and latencies of a log where it is, as one small file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from incident_rca.cli.import_files import AccessLogFormat
from incident_rca.cli.rollup_options import (
    Account,
    Database,
    DryRun,
    EngineName,
    EngineOption,
    EngineTimeout,
    ForceRollup,
    Master,
    MaxBytes,
    Out,
    Places,
    Results,
    Service,
    Workgroup,
)
from incident_rca.cli.terminal import (
    Config,
    From,
    Json,
    Quiet,
    To,
    Zone,
    print_json,
    progress,
    say,
    settings,
    window_of,
)
from incident_rca.errors import BadSettings, ExitCode

if TYPE_CHECKING:
    from incident_rca.model.services import AwsAccount, GatewayStage
    from incident_rca.rollup import Engine, Plan
    from incident_rca.rollup.rollup_file import Written
    from incident_rca.sources.tally import Tally

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGTP]?B?)", re.IGNORECASE)


def rollup(
    places: Places,
    into: Out = None,
    engine: EngineOption = EngineName.DUCKDB,
    start: From = None,
    end: To = None,
    tz: Zone = None,
    access_log_format: AccessLogFormat = "",
    max_bytes: MaxBytes = "",
    dry_run: DryRun = False,
    master: Master = "",
    account: Account = "",
    workgroup: Workgroup = "primary",
    database: Database = "default",
    results: Results = "",
    timeout: EngineTimeout = 1800.0,
    config: Config = None,
    force: ForceRollup = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count requests and latencies of an access log where it lies; only the counts come here.

    The file is evidence like the log itself, for `import`. What it reads and costs is said first.

    Example: incident-rca rollup access-*.ndjson.gz --from 14:00 --to 15:00
    """
    from incident_rca.cli.clock import SystemClock
    from incident_rca.formats.access_log import given_format
    from incident_rca.rollup import Asked
    from incident_rca.rollup.rollup_file import write_rollup

    most_bytes = _bytes(max_bytes) if max_bytes else None
    loaded = settings(config)
    window = window_of(start, end, loaded, tz, force=force)
    _hold_back(into, may_overwrite=force or dry_run)
    asked = Asked(line_format=given_format(access_log_format), window=window)
    service = Service(
        master=master,
        account=account,
        workgroup=workgroup,
        database=database,
        results=results,
        timeout=timeout,
    )
    with _opened(engine, places, service, loaded.settings.services.aws) as made:
        plan = made.plan(asked)
        path = _path(into, plan, may_overwrite=force or dry_run)
        say(_cost(plan), quiet=quiet)
        _hold_to(plan, most_bytes)
        if dry_run:
            typer.echo("\n".join(plan.statements))
            return
        with progress(quiet=quiet) as step:
            step(f"{made.name} counts")
            written = write_rollup(path, made, asked, plan, asked_at=SystemClock().now())
    if as_json:
        print_json(_as_json(path, made, plan, written))
    _tell(path, written, quiet=quiet)
    raise typer.Exit(_exit_code(written))


@contextmanager
def _opened(
    name: EngineName, places: list[str], service: Service, accounts: Sequence[AwsAccount]
) -> Iterator[Engine]:
    """The engine over the places; raises BadSettings where it is not for such places."""
    if name is EngineName.DUCKDB:
        from incident_rca.rollup.local_files import LocalFiles

        yield LocalFiles(tuple(map(Path, places)))
    elif name is EngineName.SPARK:
        from incident_rca.rollup import spark

        with spark.opened(tuple(places), service.master) as engine:
            yield engine
    elif len(places) > 1:
        raise BadSettings(f"--engine {name} takes one place", hint="make one file of each")
    elif name is EngineName.ATHENA:
        from incident_rca.rollup import athena

        where = athena.Where(
            place=places[0],
            workgroup=service.workgroup,
            database=service.database,
            results=service.results,
        )
        with athena.opened(_account(accounts, service.account), where, _tally(service)) as engine:
            yield engine
    else:
        from incident_rca.rollup.insights import Insights

        account = _account(accounts, service.account)
        yield Insights(account, _stage(places[0]), _tally(service))


def _tally(service: Service) -> Tally:
    from incident_rca.cli.clock import SystemClock
    from incident_rca.sources.tally import Tally

    tally = Tally(SystemClock(), again="ask again")
    tally.begin(service.timeout)
    return tally


def _account(accounts: Sequence[AwsAccount], name: str) -> AwsAccount:
    """The account of that name, or the first, or none but boto3's own chain."""
    from incident_rca.model.services import AwsAccount

    named = [account for account in accounts if name in ("", account.name)]
    if not named and name:
        known = ", ".join(account.name for account in accounts) or "none"
        raise BadSettings(f"--account {name!r}: the settings name {known}", hint="see [[aws]]")
    return named[0] if named else AwsAccount()


def _stage(place: str) -> GatewayStage:
    from incident_rca.settings_document import Unfit
    from incident_rca.settings_values import stages

    try:
        return stages([place])[0]
    except Unfit as error:
        raise BadSettings(
            f"{place!r} is no stage", hint="write rest:a1b2c3/prod or http:a1b2c3/$default"
        ) from error


def _bytes(text: str) -> int:
    """A number of bytes, in decimal units as services charge by them.

    >>> _bytes("500GB"), _bytes("1.5 tb")
    (500000000000, 1500000000000)
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise BadSettings(f"--max-bytes {text!r}: is no size", hint="write 500GB, 2TB or bytes")
    unit = found[2].upper().removesuffix("B")
    return int(float(found[1]) * _UNITS[f"{unit}B"])


def _cost(plan: Plan) -> str:
    size = "How much it reads is not known before" if plan.bytes is None else _size(plan.bytes)
    usd = "" if plan.usd is None else f", ${plan.usd:,.4f}"
    return f"Reads {size}{usd} ({plan.basis})"


def _size(number: float) -> str:
    """
    >>> _size(5_400_000_000), _size(999)
    ('5.4 GB', '999 B')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} TB"


def _path(into: Path | None, plan: Plan, *, may_overwrite: bool) -> Path:
    """The file to write: the one that was named, or one called after the log."""
    from incident_rca.rollup.log_format import file_name

    path = into or Path(file_name(plan.line_format))
    _hold_back(path, may_overwrite=may_overwrite)
    return path


def _hold_back(path: Path | None, *, may_overwrite: bool) -> None:
    """Raises BadSettings where a file is there already that was not to be overwritten."""
    if path and path.exists() and not may_overwrite:
        raise BadSettings(f"{path}: is there already", hint="name another --out, or give --force")


def _hold_to(plan: Plan, most_bytes: int | None) -> None:
    if most_bytes is None:
        return
    if plan.bytes is None:
        raise BadSettings(
            f"--max-bytes: this engine cannot know before how much it reads ({plan.basis})",
            hint="ask for a shorter window, or limit the service itself",
        )
    if plan.bytes > most_bytes:
        raise BadSettings(
            f"it would read {_size(plan.bytes)}, --max-bytes allows {_size(most_bytes)}",
            hint="ask for a shorter window, or allow more; nothing was run",
        )


def _tell(path: Path, written: Written, *, quiet: bool) -> None:
    unread = f", {written.unread:,} lines unreadable" if written.unread else ""
    say(f"{path}: {written.requests:,} requests in {written.rows:,} rows{unread}", quiet=quiet)
    if written.unread_failures:
        say(
            f"{written.unread_failures:,} of these lines may tell of failed requests: "
            "give the stage's own format (--access-log-format)",
            quiet=quiet,
        )
    if written.error:
        say(f"partial: {written.error}", quiet=quiet)
    say(f"Next: incident-rca import CASE {path}", quiet=quiet)


def _as_json(path: Path, engine: Engine, plan: Plan, written: Written) -> dict[str, Any]:
    from dataclasses import asdict

    costs = {"bytes": plan.bytes, "usd": plan.usd}
    return {"file": str(path), "engine": engine.name, **costs, **asdict(written)}


def _exit_code(written: Written) -> ExitCode:
    if written.requests == 0:
        return ExitCode.NO_EVIDENCE
    return ExitCode.INCOMPLETE if written.error else ExitCode.COMPLETE
