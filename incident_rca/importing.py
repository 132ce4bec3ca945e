"""Files that a user gives -> sources of a case folder: recognised, parsed, and then kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from incident_rca import __version__
from incident_rca import case as case_folder
from incident_rca.analysis.names import counted
from incident_rca.errors import BadInput, IncidentRcaError, NoEvidence, UnknownFormat
from incident_rca.formats import BY_KIND, FORMATS, access_log, postgres_log, recognise
from incident_rca.formats.access_log import FORMAT_READING
from incident_rca.formats.clusters import clusters_of
from incident_rca.formats.lines import head_of
from incident_rca.formats.parsed import Format, Parsed, RawInput
from incident_rca.guessed_window import apart_of, guessed_window
from incident_rca.model import (
    Basis,
    Case,
    RawFile,
    SourceState,
    SourceStatus,
    Thresholds,
    TimeWindow,
)
from incident_rca.one_writer import locked, moving
from incident_rca.pipeline import Progress, append_tables, parse_raw
from incident_rca.settings import Settings
from incident_rca.work_folder import work_folder

# Above this share of unreadable rows a source is partial: what it says may be biased.
UNPARSED_SHARE_LIMIT = 0.01
# Of a case before it has sources, whose times say its window.
_NO_WINDOW = TimeWindow(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did: the case, the new sources, and the files that were refused and why."""

    case: Case
    added: tuple[SourceStatus, ...]
    already_there: tuple[str, ...]
    refused: tuple[IncidentRcaError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the user says of the files: their kind, and what they do not say themselves.

    `log` has the `log_line_prefix` and `log_timezone` of a server's log and the `access_log_format`
    of a gateway's, as far as they are given.
    """

    kind: str | None = None
    query: str = ""
    metric: str = ""
    log: Mapping[str, str] = field(default_factory=dict, hash=False)


def import_files(
    folder: Path,
    files: Sequence[Path],
    *,
    settings: Settings,
    window: TimeWindow | None = None,
    reading: Reading = Reading(),
    title: str = "",
    progress: Progress = lambda _: None,
) -> Imported:
    """The case with each readable file added; a file that cannot be read is refused, not the rest.

    A new case takes topology and thresholds of `settings`; a case that is there keeps its own. A
    file that it has is put back where it is gone from raw/ or was changed there.
    Raises NoEvidence where the case is new and no file could be read.
    """
    added: dict[str, Parsed] = {}
    kept: dict[str, Path] = {}
    already: list[str] = []
    refused: list[IncidentRcaError] = []
    # The hash of a file is made while it is parsed, where nothing asks for it before.
    with locked(folder), work_folder() as work, ThreadPoolExecutor(1) as beside:
        case = case_folder.read_case(folder) if case_folder.exists(folder) else None
        sources = list(case.sources) if case else []
        for given in files:
            progress(f"reading {given.name}")
            try:
                sha256 = _hash_of(given, beside)
                if known := _known(sources, sha256):
                    already.append(given.name)
                    if case_folder.problem_of(folder, known):
                        kept[known.path] = given
                    continue
                source, parsed = _add_file(folder, given, sha256, sources, work, reading)
            except IncidentRcaError as error:
                refused.append(error)
                continue
            added[source.name], kept[source.files[0].path] = parsed, given
            sources.append(with_declared_clock(source, settings))
        if not sources:
            raise _nothing_readable(refused)
        if case is None:
            start = Case(id=folder.resolve().name, title=title, window=window or _NO_WINDOW)
            case = with_settings(start, settings)
        in_order = tuple(sorted(sources, key=lambda s: s.name))
        case = with_window(replace(case, sources=in_order, tool_version=__version__), window)
        _store(folder, case, added, kept)
    return Imported(
        case=case,
        added=tuple(s for s in case.sources if s.name in added),
        already_there=tuple(already),
        refused=tuple(refused),
    )


def _store(folder: Path, case: Case, added: Mapping[str, Parsed], kept: Mapping[str, Path]) -> None:
    """Writes raw files, tables and, last of all, the manifest that names them."""
    new = {p: given for p, given in kept.items() if not case_folder.lies_at(given, folder / p)}
    with moving(folder, new), ThreadPoolExecutor(1) as copier:
        copies = [
            copier.submit(case_folder.keep_raw, folder, given, path) for path, given in new.items()
        ]
        append_tables(folder, case, added)
        for copy in copies:
            copy.result()
        case_folder.write_case(folder, case)


def _nothing_readable(refused: Sequence[IncidentRcaError]) -> IncidentRcaError:
    if len(refused) == 1:
        return refused[0]
    reasons = "; ".join(error.message for error in refused)
    return NoEvidence(f"none of the {len(refused)} files could be read: {reasons}")


def with_measured_clock(source: SourceStatus, parsed: Parsed) -> SourceStatus:
    """The source with the clock bounds that who wrote its files measured, if he did."""
    if parsed.clock_offset_seconds is None:
        return source
    return replace(
        source,
        clock_offset_seconds=parsed.clock_offset_seconds,
        clock_offset_basis=Basis.OBSERVED,
    )


def with_declared_clock(source: SourceStatus, settings: Settings) -> SourceStatus:
    """The source with the clock bounds that the settings declare; measured ones stay."""
    if source.clock_offset_basis is Basis.OBSERVED:
        return source
    declared = settings.clock_offset_seconds[source.system]
    return replace(source, clock_offset_seconds=declared)


def with_settings(case: Case, settings: Settings) -> Case:
    """The case with the topology, thresholds, user ids and clock bounds of these settings."""
    return replace(
        case,
        topology=settings.topology,
        user_ids=settings.user_ids,
        thresholds=Thresholds(
            plausible_deadline_seconds=settings.plausible_deadline_seconds,
            large_table_rows=settings.large_table_rows,
        ),
        sources=tuple(with_declared_clock(source, settings) for source in case.sources),
    )


def with_window(case: Case, window: TimeWindow | None) -> Case:
    """The case with the window given, else the one it was given before, else its sources' span."""
    if window is not None:
        return replace(case, window=window, window_basis="given")
    if case.window_basis == "given":
        return case
    guessed, basis = guessed_window(case)
    return replace(case, window=guessed, window_basis=basis)


def change_case(folder: Path, *, settings: Settings | None, window: TimeWindow | None) -> None:
    """Writes the case's new settings or window to case.json; raw files and tables stay."""
    case_folder.read_case(folder)
    with locked(folder):
        # Read again, for another process may have added to it before the lock was ours.
        case = case_folder.read_case(folder)
        case = with_settings(case, settings) if settings else case
        case_folder.write_case(folder, with_window(case, window))


def _hash_of(given: Path, beside: Executor) -> Future[str]:
    if not given.is_file():
        raise BadInput(f"{given}: is no file", hint="check the path")
    return beside.submit(case_folder.sha256_of, given)


def _known(sources: Iterable[SourceStatus], sha256: Future[str]) -> RawFile | None:
    files = (file for source in sources for file in source.files)
    return next((file for file in files if file.sha256 == sha256.result()), None)


def _add_file(
    folder: Path,
    given: Path,
    sha256: Future[str],
    sources: Sequence[SourceStatus],
    work: Path,
    reading: Reading,
) -> tuple[SourceStatus, Parsed]:
    """Recognises and parses one file; what it would be in the case, and its rows."""
    known = _format_of(given, reading)
    stem, taken = given.name.partition(".")[0] or known.kind, {s.name for s in sources}
    name = next(n for n in chain([stem], (f"{stem}-{i}" for i in count(2))) if n not in taken)
    path = case_folder.free_name(folder, given, frozenset(f.path for s in sources for f in s.files))
    parsed = parse_raw(
        known,
        RawInput(
            path=given,
            file=path,
            source=name,
            work=work,
            query=reading.query,
            metric=reading.metric,
            reading=reading.log,
        ),
    )
    if parsed.is_unread:
        doubt = "is it the file you meant? `--as KIND` overrides what it was taken for"
        raise parsed.unread(str(given), known.kind, doubt)
    raw = RawFile(path=path, sha256=sha256.result())
    return replace(_status(known, name, parsed, raw), reading=dict(reading.log)), parsed


def _format_of(given: Path, reading: Reading) -> Format:
    kind = reading.kind or (access_log.FORMAT.kind if FORMAT_READING in reading.log else None)
    kinds = ", ".join(sorted(f.kind for f in FORMATS))
    if given.stat().st_size == 0:
        raise BadInput(f"{given}: is empty", hint="fetch or copy the file again")
    if kind is not None:
        if kind not in BY_KIND:
            raise UnknownFormat(f"there is no kind {kind!r}", hint=f"the kinds are: {kinds}")
        return BY_KIND[kind]
    head = head_of(given)
    known = recognise(head)
    # After the others: the settings name a prefix for every file, whatever it is.
    if known is None and postgres_log.has_prefix(head, reading.log):
        return postgres_log.FORMAT
    if known is None:
        raise UnknownFormat(
            f"{given}: is of no known kind",
            hint=f"say what it is: --as {{{kinds}}}; or --access-log-format for a gateway's log, "
            "--log-line-prefix for a PostgreSQL server's",
        )
    return known


def _status(known: Format, name: str, parsed: Parsed, raw: RawFile) -> SourceStatus:
    state, reason, hint = SourceState.OK, "", ""
    share = parsed.unparsed / max(parsed.rows + parsed.unparsed, 1)
    if parsed.damage:
        state, reason = SourceState.PARTIAL, f"{raw.path}: {parsed.damage}"
        hint = "what stands before the damage is used; fetch the file again"
    elif share > UNPARSED_SHARE_LIMIT:
        state = SourceState.PARTIAL
        reason = f"{raw.path}: {counted(parsed.unparsed, 'row')} ({share:.1%}) could not be read"
        hint = "look at those rows: a new log format is not read yet"
    elif parsed.rows == 0:
        state, reason = SourceState.EMPTY, f"{raw.path}: holds no rows"
    status = SourceStatus(
        name=name,
        system=known.system,
        kind=known.kind,
        state=state,
        asked=parsed.asked,
        covered=parsed.covered,
        rows=parsed.rows,
        unparsed=parsed.unparsed,
        resolution_seconds=parsed.resolution_seconds,
        reason=reason,
        hint=hint,
        query=parsed.query,
        console=dict(parsed.console),
        gaps=parsed.gaps,
        clusters=clusters_of(parsed),
        blind=parsed.blind,
        lacks=parsed.lacks,
        files=(raw,),
    )
    return with_measured_clock(_with_apart(status), parsed)


def _with_apart(source: SourceStatus) -> SourceStatus:
    """The source with a word on its rows that lie far from the others; its state stays."""
    apart = apart_of(source)
    if not apart:
        return source
    reasons = (source.reason, f"{source.files[0].path}: {apart}")
    hint = source.hint or "is their year right? --from and --to give another window"
    return replace(source, reason="; ".join(filter(None, reasons)), hint=hint)
