"""The one place that joins the rooms: build_tables, analyse_case, report_case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca import case as case_folder
from incident_rca.case import failed
from incident_rca.chart_painter import Draw, draw_here, painter
from incident_rca.errors import BadInput, IncidentRcaError, NoEvidence
from incident_rca.formats import BY_KIND
from incident_rca.formats.parsed import Format, Parsed, RawInput
from incident_rca.model import (
    Analysis,
    Case,
    SourceState,
    SourceStatus,
)
from incident_rca.one_writer import locked
from incident_rca.redact import redact_query, redact_text
from incident_rca.reported_case import reported
from incident_rca.tables import SCHEMAS, TABLE_NAMES, Tables
from incident_rca.typed_frames import as_schema
from incident_rca.window import require_analysable
from incident_rca.work_folder import work_folder

if TYPE_CHECKING:
    import pandas as pd

REPORT_MD = "report.md"
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"

Progress = Callable[[str], None]


def parse_raw(known: Format, raw: RawInput) -> Parsed:
    """The rows of a raw file; raises BadInput, naming it, where its shape is not its kind's.

    What is said about the file, here or in the error, has no secret of it.
    """
    try:
        parsed = known.parse(raw)
    except IncidentRcaError as error:
        raise type(error)(redact_query(error.message), hint=error.hint) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadInput(
            f"{raw.path}: is damaged, or no {known.kind} after all "
            f"({type(error).__name__}: {redact_text(str(error))})",
            hint="fetch or copy the file again; `--as KIND` says what it is",
        ) from error
    damage, blind = redact_query(parsed.damage), redact_query(parsed.blind)
    return replace(parsed, damage=damage, blind=blind)


def parse_sources(
    folder: Path, sources: Iterable[SourceStatus], progress: Progress
) -> tuple[tuple[SourceStatus, ...], Tables]:
    """The sources and the tables of their raw files; one that cannot be parsed is `failed`."""
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLE_NAMES}
    known: list[SourceStatus] = []
    with work_folder() as work:
        for source in sources:
            try:
                parsed = list(_parse_source(folder, source, work, progress))
            except BadInput as error:
                known.append(failed(source, error.message, error.hint))
                continue
            known.append(source)
            for table, frame in (item for part in parsed for item in part.frames.items()):
                frames[table].append(frame)
    return tuple(known), joined_tables(frames)


def _parse_source(
    folder: Path, source: SourceStatus, work: Path, progress: Progress
) -> Iterator[Parsed]:
    if source.state is SourceState.FAILED:
        return
    for file in source.files:
        progress(f"parsing {file.path}")
        raw = RawInput(
            path=folder / file.path,
            file=file.path,
            source=source.name,
            work=work,
            query=source.query,
            reading=source.reading,
        )
        yield parse_raw(BY_KIND[source.kind], raw)


def joined_tables(frames: Mapping[str, Sequence[pd.DataFrame]]) -> Tables:
    """One frame a table from its pieces, by source and file, so that no order of reading shows."""
    import pandas as pd

    def whole(name: str) -> pd.DataFrame:
        parts = [frame for frame in frames.get(name, ()) if len(frame)]
        if not parts:
            return as_schema(pd.DataFrame(columns=list(SCHEMAS[name])), name)
        together = as_schema(pd.concat(parts, ignore_index=True), name)
        return together.sort_values(["source", "file"], kind="stable", ignore_index=True)

    return Tables(**{name: whole(name) for name in TABLE_NAMES})


def append_tables(folder: Path, case: Case, added: Mapping[str, Parsed]) -> None:
    """Writes the tables of a case to which sources were added, from those it has and the new rows.

    Where the tables that it has are not those of its other sources, they are left to build_tables.
    """
    before = tuple(s for s in case.sources if s.name not in added)
    if not added or (before and not case_folder.tables_are_current(folder, before)):
        return
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in TABLE_NAMES}
    if before:
        kept = case_folder.read_tables(folder)
        for name in TABLE_NAMES:
            frames[name].append(getattr(kept, name))
    for parsed in added.values():
        for name, frame in parsed.frames.items():
            frames[name].append(frame)
    case_folder.write_tables(folder, joined_tables(frames), case.sources)


def build_tables(folder: Path, progress: Progress = lambda _: None) -> tuple[Case, Tables]:
    """The case with its sources as they stand now, and its tables, made anew if they are stale.

    Raises NoEvidence where every source failed, and CaseInUse where another process writes to it.
    """
    case, kept = _as_it_stands(folder)
    if kept is not None:
        return case, kept
    with locked(folder):
        # Whoever had it until now may have made them.
        return _with_tables(folder, *_as_it_stands(folder), progress)


def _with_tables(
    folder: Path, case: Case, kept: Tables | None, progress: Progress
) -> tuple[Case, Tables]:
    """The case with the tables that are kept, else with those that are made anew."""
    if kept is not None:
        return case, kept
    sources, tables = parse_sources(folder, case.sources, progress)
    case_folder.write_tables(folder, tables, sources)
    return replace(case, sources=sources), tables


def _as_it_stands(folder: Path) -> tuple[Case, Tables | None]:
    """The case with `failed` for each source whose files are not what was collected, and its
    tables where they are current.

    Raises NoEvidence where every source failed, BadWindow where the window is one of years.
    """
    case = _analysable(folder)
    with _checking(folder, case) as checked:
        kept = _current_tables(folder, case.sources)
        return _as_checked(folder, case, checked(), kept)


def _analysable(folder: Path) -> Case:
    case = case_folder.read_case(folder)
    require_analysable(case.window)
    return case


@contextmanager
def _checking(folder: Path, case: Case) -> Iterator[Callable[[], tuple[SourceStatus, ...]]]:
    """What waits for the sources as they stand: large raw files take as long to be checked as their
    tables to be read and analysed, which can be done meanwhile.
    """
    with ThreadPoolExecutor() as pool:
        checked = pool.map(partial(case_folder.check_files, folder), case.sources)
        yield lambda: tuple(checked)


def _as_checked(
    folder: Path, case: Case, sources: tuple[SourceStatus, ...], kept: Tables | None
) -> tuple[Case, Tables | None]:
    if all(s.state is SourceState.FAILED for s in sources):
        raise NoEvidence(
            f"{folder}: no source can be read: "
            + "; ".join(redact_query(s.reason) for s in sources),
            hint="restore the files of raw/, or import them again",
        )
    if sources != case.sources:
        kept = _current_tables(folder, sources)
    return replace(case, sources=sources), kept


def _current_tables(folder: Path, sources: tuple[SourceStatus, ...]) -> Tables | None:
    """The tables, where they are those of these sources and can be read."""
    if not case_folder.tables_are_current(folder, sources):
        return None
    try:
        tables = case_folder.read_tables(folder)
    except BadInput:
        return None
    # A writer may have begun meanwhile: then some of them are of other sources.
    return tables if case_folder.tables_are_current(folder, sources) else None


def analyse_case(folder: Path, progress: Progress = lambda _: None) -> Analysis:
    """The analysis of a case folder: a pure function of its files."""
    case, tables = build_tables(folder, progress)
    progress("analysing")
    return analysed(folder, *reported(case, tables))


def analysed(folder: Path, case: Case, tables: Tables) -> Analysis:
    """The analysis of a case as it is reported: its series, the what-if and the sweep it keeps."""
    from incident_rca.analysis.analyse import concluded
    from incident_rca.analysis.observations import observe
    from incident_rca.analysis.series import aligned_series
    from incident_rca.replaying import kept_sweep, kept_what_if

    observed = observe(case, tables)
    return replace(
        concluded(observed),
        what_if=kept_what_if(folder, observed[0]),
        series=aligned_series(observed),
        sweep=kept_sweep(folder, observed[0]),
    )


def report_case(
    folder: Path,
    progress: Progress = lambda _: None,
    *,
    force: bool = False,
    with_charts: bool = True,
    with_page: bool = True,
) -> Analysis:
    """The analysis of a case folder, and its reports written, with nobody else writing meanwhile.

    Raises as build_tables and write_reports do.
    """
    case_folder.read_case(folder)
    with painter() if with_charts else nullcontext(draw_here) as draw, locked(folder):
        analysis = _analysed_while_checked(folder, progress)
        progress("writing")
        write_reports(
            folder, analysis, force=force, with_charts=with_charts, with_page=with_page, draw=draw
        )
    return analysis


def _analysed_while_checked(folder: Path, progress: Progress) -> Analysis:
    """The analysis of the tables that are kept, unless a raw file turns out to be another one."""
    case = _analysable(folder)
    early: Analysis | None = None
    with _checking(folder, case) as checked:
        kept = _current_tables(folder, case.sources)
        if kept is not None:
            progress("analysing")
            early = analysed(folder, *reported(case, kept))
        found, kept = _as_checked(folder, case, checked(), kept)
    if early is not None and found == case:
        return early
    case, tables = _with_tables(folder, found, kept, progress)
    progress("analysing")
    return analysed(folder, *reported(case, tables))


def write_reports(
    folder: Path,
    analysis: Analysis,
    *,
    force: bool = False,
    with_charts: bool = True,
    with_page: bool = True,
    draw: Draw = draw_here,
) -> None:
    """Writes report.json, report.md, the charts that it shows and report.html, if to have these.

    The caller holds the case for writing.
    What people wrote between the generated blocks of report.md is kept. A page or a chart that is
    not to be had is removed: it would tell of an earlier run. Raises EditedReport where a generated
    block was edited, unless `force`.
    """
    from incident_rca.chart_files import write_charts
    from incident_rca.report.blocks import merge
    from incident_rca.report.charts import charts_of
    from incident_rca.report.contract import to_json
    from incident_rca.report.markdown import to_markdown
    from incident_rca.report.page.document import to_html

    charts = charts_of(analysis) if with_charts else ()
    pictures = draw([chart.spec for chart in charts])
    fresh = to_markdown(analysis, charts)
    written = folder / REPORT_MD
    if written.is_file() and not force:
        fresh = merge(written.read_text(encoding="utf-8"), fresh)
    page = to_html(analysis) if with_page else None
    drawn = pictures()
    case_folder.write_text(folder / REPORT_JSON, to_json(analysis))
    write_charts(folder, charts, drawn)
    case_folder.write_text(written, fresh)
    if page is not None:
        case_folder.write_text(folder / REPORT_HTML, page)
    else:
        (folder / REPORT_HTML).unlink(missing_ok=True)


def written_in(folder: Path) -> Mapping[str, str]:
    """Where each output of a report lies that the case has, by what it is."""
    places = {
        "Report": REPORT_MD,
        "Page": REPORT_HTML,
        "Charts": case_folder.CHARTS,
        "Data": REPORT_JSON,
    }
    return {name: str(folder / at) for name, at in places.items() if (folder / at).exists()}


def is_complete(case: Case) -> bool:
    """Whether every configured source answered in full (an empty answer is an answer)."""
    complete = (SourceState.OK, SourceState.EMPTY, SourceState.SKIPPED)
    return all(s.state in complete for s in case.sources)
