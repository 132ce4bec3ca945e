"""`incident-rca init`: writes the settings file, from answers, flags and the evidence of a case."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from incident_rca.cli.terminal import Json, Quiet, Zone, print_json, progress, say, tell
from incident_rca.errors import BadSettings
from incident_rca.settings_document import Reader, Unfit, shown

if TYPE_CHECKING:
    from incident_rca.analysis.inferred_topology import InferredTopology
    from incident_rca.analysis.inferred_values import Inference
    from incident_rca.settings import Settings

_HINT = "see `incident-rca init --help`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What was asked or given, each value as settings hold it; what was left out is empty."""

    timezone: str = ""
    service: str = ""
    recordings: str = ""
    datadog_site: str = ""
    prometheus_url: str = ""
    aws_region: str = ""
    stages: tuple[Any, ...] = ()
    postgres_logs: tuple[str, ...] = ()


File = Annotated[Path, typer.Argument(metavar="FILE", help="The settings file to write.")]
FromCase = Annotated[
    Path | None,
    typer.Option("--from-case", metavar="CASE", help="Infer the topology from its evidence."),
]
Service = Annotated[
    str | None, typer.Option("--service", help="libpq service of the PostgreSQL to ask.")
]
Recordings = Annotated[
    str | None,
    typer.Option("--recordings", metavar="FOLDER", help="Where `record --to` writes."),
]
DatadogSite = Annotated[
    str | None, typer.Option("--datadog-site", help="Datadog site, such as datadoghq.eu.")
]
PrometheusUrl = Annotated[
    str | None, typer.Option("--prometheus-url", help="URL of a Prometheus HTTP API.")
]
AwsRegion = Annotated[
    str | None, typer.Option("--aws-region", help="AWS region of gateway and log groups.")
]
Stages = Annotated[
    list[str] | None,
    typer.Option("--stage", help="API Gateway stage as rest:ID/STAGE, repeatable."),
]
LogGroups = Annotated[
    list[str] | None,
    typer.Option("--postgres-log-group", help="CloudWatch group of a server log, repeatable."),
]
Print = Annotated[bool, typer.Option("--print", help="Write to stdout instead of FILE.")]


def init(
    file: File = Path("incident-rca.toml"),
    from_case: FromCase = None,
    service: Service = None,
    recordings: Recordings = None,
    datadog_site: DatadogSite = None,
    prometheus_url: PrometheusUrl = None,
    aws_region: AwsRegion = None,
    stage: Stages = None,
    postgres_log_group: LogGroups = None,
    tz: Zone = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    only_print: Print = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write an incident-rca.toml: from answers on a terminal, from flags, or from a case.

    What --from-case infers is marked `inferred = true`, with the evidence for each line; verdicts
    that rest on it stay weak until somebody who knows takes the mark out.

    Example: incident-rca init --datadog-site datadoghq.eu --stage rest:a1b2c3/prod
    """
    if not only_print:
        _refuse_to_overwrite(file, force=force)
    given: dict[str, object] = {
        "timezone": tz,
        "service": service,
        "recordings": recordings,
        "datadog_site": datadog_site,
        "prometheus_url": prometheus_url,
        "aws_region": aws_region,
        "stages": stage or None,
        "postgres_logs": postgres_log_group or None,
    }
    is_given = any(value is not None for value in given.values())
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not (is_given or from_case)
    answers = _asked() if asks else _given(given)
    if answers == Answers() and from_case is None:
        raise BadSettings(
            "nothing was named that the settings could say",
            hint="name what to ask (--service, --datadog-site, --prometheus-url, --aws-region, "
            "--stage, --postgres-log-group), or --from-case CASE",
        )
    inferred = _inferred(from_case, quiet=quiet) if from_case else None
    text, settings = _text(answers, inferred, from_case)
    _check(text, settings, puts_at=None if only_print else file)
    _tell(file, text, settings, inferred, only_print=only_print, as_json=as_json, quiet=quiet)


def _refuse_to_overwrite(file: Path, *, force: bool) -> None:
    if file.is_dir():
        raise BadSettings(f"{file}: is a folder", hint="name a file, such as incident-rca.toml")
    if not file.resolve().parent.is_dir():
        raise BadSettings(f"{file}: its folder does not exist", hint="make the folder first")
    if os.path.lexists(file) and not force:
        raise BadSettings(
            f"{file}: is there already, and was left as it is",
            hint="--print shows what would be written; --force overwrites it",
        )


# --- answers ----------------------------------------------------------------------------------


def _readers() -> dict[str, tuple[str, str, Reader]]:
    """The flag, the question and the reader of each answer, in the order of asking."""
    from incident_rca import settings_values as reading

    return {
        "service": ("--service", "libpq service of the PostgreSQL to ask", reading.service),
        "recordings": ("--recordings", "Folder that `record --to` writes", reading.text),
        "datadog_site": ("--datadog-site", "Datadog site (datadoghq.eu …)", reading.site),
        "prometheus_url": ("--prometheus-url", "URL of a Prometheus HTTP API", reading.url),
        "aws_region": ("--aws-region", "AWS region of gateway and log groups", reading.text),
        "stages": ("--stage", "API Gateway stages (rest:ID/STAGE …)", reading.stages),
        "postgres_logs": (
            "--postgres-log-group",
            "CloudWatch log groups of PostgreSQL",
            reading.texts,
        ),
        "timezone": ("--tz", "Zone of times without an offset (UTC)", reading.timezone),
    }


def _given(given: dict[str, object]) -> Answers:
    """The flags, read; raises BadSettings with the flag's name where a value is none."""
    readers = _readers()
    return Answers(
        **{
            name: _read(readers[name][0], value, readers[name][2])
            for name, value in given.items()
            if value is not None
        }
    )


def _read(flag: str, value: object, reader: Reader) -> Any:
    try:
        read = reader(value)
    except Unfit as error:
        raise BadSettings(f"{flag} must be {error}: got {shown(value)}", hint=_HINT) from error
    if any(0xD800 <= ord(sign) <= 0xDFFF for sign in str(value)):
        raise BadSettings(f"{flag} is not UTF-8 text", hint=_HINT)
    return read


def _asked() -> Answers:
    """The answers of whoever sits at the terminal; Enter leaves a question out."""
    say("Enter leaves a question out. No secret is asked for: they belong in the environment.")
    found: dict[str, Any] = {}
    for name, (flag, question, reader) in _readers().items():
        while text := typer.prompt(question, default="", show_default=False, err=True).strip():
            is_list = name in ("stages", "postgres_logs")
            try:
                found[name] = _read(
                    flag, text.replace(",", " ").split() if is_list else text, reader
                )
                break
            except BadSettings as error:
                tell(error)
    return Answers(**found)


def _inferred(case: Path, *, quiet: bool) -> InferredTopology:
    from incident_rca import pipeline, reported_case
    from incident_rca.analysis.inferred_topology import infer_topology

    with progress(quiet=quiet) as step:
        manifest, tables = pipeline.build_tables(case, step)
        step("inferring")
        return infer_topology(*reported_case.reported(manifest, tables))


# --- the file ---------------------------------------------------------------------------------


def _settings(answers: Answers, inferred: InferredTopology | None) -> Settings:
    from incident_rca.model.services import AwsAccount, DatadogAccount, PrometheusServer
    from incident_rca.settings import Settings
    from incident_rca.settings_services import Services

    aws = AwsAccount(
        region=answers.aws_region, stages=answers.stages, postgres_logs=answers.postgres_logs
    )
    named = Settings(
        timezone=answers.timezone or Settings().timezone,
        postgres_service=answers.service,
        postgres_recordings=answers.recordings,
        services=Services(
            datadog=(DatadogAccount(site=answers.datadog_site),) if answers.datadog_site else (),
            prometheus=(PrometheusServer(url=answers.prometheus_url),)
            if answers.prometheus_url
            else (),
            aws=(aws,) if aws != AwsAccount() else (),
        ),
    )
    return replace(named, topology=inferred.topology) if inferred else named


def _text(
    answers: Answers, inferred: InferredTopology | None, case: Path | None
) -> tuple[str, Settings]:
    from incident_rca.settings_writing import to_toml

    settings = _settings(answers, inferred)
    head = ["Settings of incident-rca. `incident-rca config show` says what is in force."]
    head += [f"Set in the environment: {name}" for name in _environment(settings)]
    notes: dict[tuple[str, str], list[str]] = {}
    if inferred:
        head.append(
            f"The topology is inferred from the evidence of {case}. A verdict that rests on it is "
            "at most weak: check each line, then take `inferred = true` out of its table."
        )
        for inference in inferred.reasons:
            notes[inference.table, inference.key] = [f"{inference.reason}{_cited(inference)}"]
    text = to_toml(settings, head=head, notes=notes)
    if inferred and inferred.left_out:
        text += "\n" + "\n".join(_left_out(inferred)) + "\n"
    return text, settings


def _cited(inference: Inference) -> str:
    places = [f"{e.file}{_rows(e.rows)}" for e in inference.evidence]
    return f" [{', '.join(dict.fromkeys(places))}]"


def _rows(rows: tuple[int, int] | None) -> str:
    if rows is None:
        return ""
    return f" row {rows[0]}" if rows[0] == rows[1] else f" rows {rows[0]}–{rows[1]}"


def _left_out(inferred: InferredTopology) -> Iterator[str]:
    """What is not clear, as comments: whoever knows it takes the sign in front away."""
    from incident_rca.settings_writing import assignment, comment

    yield from comment("Left out, because the evidence does not settle it:")
    for inference in inferred.left_out:
        key = f".{inference.key}" if inference.key else ""
        yield "#"
        yield from comment(f"{inference.table}{key}: {inference.reason}{_cited(inference)}")
        if inference.value is not None:
            yield f"# {assignment(inference.key, inference.value)}"


def _environment(settings: Settings) -> Iterator[str]:
    """What these settings need from the environment, by name."""
    if settings.postgres_service:
        yield "PGPASSWORD, or a line of ~/.pgpass, for the role of the libpq service"
    for account in settings.services.datadog:
        yield f"{account.key_prefix}_API_KEY and {account.key_prefix}_APP_KEY"
    if settings.services.aws:
        yield "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless AWS knows you"


def _check(text: str, settings: Settings, *, puts_at: Path | None) -> None:
    """Reads the text back as any command would, and only then puts it in its place."""
    import tempfile

    from incident_rca.settings import load_settings

    target = puts_at.resolve() if puts_at else None
    where = target.parent if target else None
    with tempfile.TemporaryDirectory(prefix=".incident-rca-", dir=where) as beside:
        written = Path(beside) / "incident-rca.toml"
        written.write_text(text, encoding="utf-8", newline="\n")
        nowhere = Path(beside) / "none"
        loaded = load_settings(config=written, environ={}, cwd=nowhere, user_config_dir=nowhere)
        if loaded.settings != settings:
            raise AssertionError("the settings that were written do not read back as they are")
        if target is not None:
            if target.exists():
                shutil.copymode(target, written)
            written.replace(target)


# --- telling ----------------------------------------------------------------------------------


def _tell(
    file: Path,
    text: str,
    settings: Settings,
    inferred: InferredTopology | None,
    *,
    only_print: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    if as_json:
        print_json(
            {
                "file": None if only_print else str(file),
                "environment": list(_environment(settings)),
                "inferred": [_as_json(i) for i in inferred.reasons] if inferred else [],
                "left_out": [_as_json(i) for i in inferred.left_out] if inferred else [],
                "text": text,
            }
        )
    elif only_print:
        sys.stdout.write(text)
    if not only_print:
        say(f"Written: {file}", quiet=quiet)
    for name in _environment(settings):
        say(f"Set in the environment: {name}", quiet=quiet)
    if inferred:
        marked = len(inferred.topology.services) + len(inferred.topology.routes)
        say(
            f"Inferred: {marked} services and routes, {len(inferred.left_out)} lines left out. "
            "Check them, and take `inferred = true` out of what is right.",
            quiet=quiet,
        )


def _as_json(inference: Inference) -> dict[str, Any]:
    value = inference.value
    return {
        "table": inference.table,
        "key": inference.key or None,
        "value": list(value) if isinstance(value, tuple) else value,
        "reason": inference.reason,
        "evidence": [
            {"source": e.source, "file": e.file, "rows": list(e.rows) if e.rows else None}
            for e in inference.evidence
        ],
    }
