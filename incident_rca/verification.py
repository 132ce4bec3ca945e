"""A case against what its raw files give: hashes, tables, reports and charts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca import case as case_folder
from incident_rca.chart_files import problems_of
from incident_rca.errors import BadInput
from incident_rca.model import Analysis
from incident_rca.pipeline import (
    REPORT_HTML,
    REPORT_JSON,
    REPORT_MD,
    Progress,
    analysed,
    parse_sources,
)
from incident_rca.redact import redact_text
from incident_rca.replaying import KEPT_SWEEP, sweep_problem
from incident_rca.report.blocks import edited_blocks, generated_only
from incident_rca.report.charts import charts_of
from incident_rca.report.contract import to_json
from incident_rca.report.markdown import to_markdown
from incident_rca.report.page.document import to_html
from incident_rca.reported_case import reported
from incident_rca.tables import TABLE_NAMES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that verify compared: `problem` is empty where it is as it was."""

    name: str
    problem: str = ""


def verify_case(folder: Path, progress: Progress = lambda _: None) -> tuple[Check, ...]:
    """Each file of the case against what it must be: hashes, tables, reports, charts."""
    case = case_folder.read_case(folder)
    files = [file for source in case.sources for file in source.files]
    problems = [(file.path, case_folder.problem_of(folder, file)) for file in files]
    checks = [Check(redact_text(path), redact_text(problem)) for path, problem in problems]
    if any(c.problem for c in checks):
        return (*checks, Check(REPORT_JSON, "not compared: its raw files are not what they were"))
    progress("parsing raw files again")
    sources, fresh = parse_sources(folder, case.sources, progress)
    checks += [_table_check(folder, name, getattr(fresh, name)) for name in TABLE_NAMES]
    case, tables = reported(replace(case, sources=sources), fresh)
    problem = sweep_problem(folder, case, tables)
    if problem is not None:
        checks.append(Check(KEPT_SWEEP, problem))
    analysis = analysed(folder, case, tables)
    return (*checks, *_report_checks(folder, analysis), *_page_checks(folder, analysis))


def _table_check(folder: Path, name: str, fresh: pd.DataFrame) -> Check:
    file = f"{case_folder.TABLES}/{name}.parquet"
    if not case_folder.table_path(folder, name).is_file():
        return Check(file, "missing: run report")
    try:
        same = case_folder.same_rows(case_folder.read_table(folder, name), fresh)
    except BadInput:
        return Check(file, "cannot be read")
    return Check(file, "" if same else "its rows differ from those in raw/")


def _report_checks(folder: Path, analysis: Analysis) -> tuple[Check, ...]:
    json_path, md_path = folder / REPORT_JSON, folder / REPORT_MD
    if not json_path.is_file():
        in_json = "missing: run report"
    else:
        same = json_path.read_text(encoding="utf-8") == to_json(analysis)
        in_json = "" if same else "differs from what the evidence gives"
    if not md_path.is_file():
        return Check(REPORT_JSON, in_json), Check(REPORT_MD, "missing: run report")
    text = md_path.read_text(encoding="utf-8")
    # A report may have been written without charts: then none is missing.
    charts = charts_of(analysis) if f"]({case_folder.CHARTS}/" in text else ()
    kept = generated_only(text)
    wanted = generated_only(to_markdown(analysis, charts))
    differing = {name for name in wanted if kept.get(name) != wanted[name]}
    changed = sorted(differing.union(edited_blocks(text)))
    in_md = f"edited in the generated block {', '.join(changed)}" if changed else ""
    drawn = (Check(name, problem) for name, problem in problems_of(folder, charts))
    return Check(REPORT_JSON, in_json), Check(REPORT_MD, in_md), *drawn


def _page_checks(folder: Path, analysis: Analysis) -> tuple[Check, ...]:
    """The page, which people never edit; none where the report was written without it."""
    path = folder / REPORT_HTML
    if not path.is_file():
        return ()
    # Bytes, because a page that is damaged may be no text at all.
    same = path.read_bytes() == to_html(analysis).encode()
    return (Check(REPORT_HTML, "" if same else "differs from what the evidence gives"),)
