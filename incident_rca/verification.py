"""A case against what its raw files give: hashes, tables, report.json and report.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from incident_rca import case as case_folder
from incident_rca.analysis.analyse import analyse
from incident_rca.errors import BadInput
from incident_rca.model import Analysis, Case
from incident_rca.pipeline import (
    REPORT_JSON,
    REPORT_MD,
    Progress,
    parse_sources,
    with_absent_systems,
)
from incident_rca.report.blocks import generated_only
from incident_rca.report.contract import to_json
from incident_rca.report.markdown import to_markdown
from incident_rca.tables import TABLE_NAMES, Tables


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that verify compared: `problem` is empty where it is as it was."""

    name: str
    problem: str = ""


def verify_case(folder: Path, progress: Progress = lambda _: None) -> tuple[Check, ...]:
    """Each file of the case against what it must be: hashes, tables, report.json, report.md."""
    case = case_folder.read_case(folder)
    checks = []
    for source in case.sources:
        reason = case_folder.check_files(folder, source).reason
        was = source.reason
        for file in source.files:
            named = reason if reason != was and reason.startswith(file.path) else ""
            checks.append(Check(file.path, named))
    if any(c.problem for c in checks):
        return (*checks, Check(REPORT_JSON, "not compared: its raw files are not what they were"))
    progress("parsing raw files again")
    fresh = parse_sources(folder, case.sources, progress)
    checks += _table_checks(folder, case, fresh)
    analysis = analyse(with_absent_systems(case), fresh)
    return (*checks, *_report_checks(folder, analysis))


def _table_checks(folder: Path, case: Case, fresh: Tables) -> list[Check]:
    if not case_folder.tables_are_current(folder, case.sources):
        return [Check(case_folder.TABLES, "missing, or made from other raw files: run report")]
    checks = []
    try:
        kept = case_folder.read_tables(folder)
    except BadInput as error:
        return [Check(case_folder.TABLES, error.message)]
    for name in TABLE_NAMES:
        same = case_folder.same_rows(getattr(kept, name), getattr(fresh, name))
        problem = "" if same else "its rows differ from those in raw/"
        checks.append(Check(f"{case_folder.TABLES}/{name}.parquet", problem))
    return checks


def _report_checks(folder: Path, analysis: Analysis) -> tuple[Check, ...]:
    json_path, md_path = folder / REPORT_JSON, folder / REPORT_MD
    if not json_path.is_file():
        in_json = "missing: run report"
    else:
        same = json_path.read_text(encoding="utf-8") == to_json(analysis)
        in_json = "" if same else "differs from what the evidence gives"
    if not md_path.is_file():
        return Check(REPORT_JSON, in_json), Check(REPORT_MD, "missing: run report")
    kept = generated_only(md_path.read_text(encoding="utf-8"))
    wanted = generated_only(to_markdown(analysis))
    changed = sorted(name for name in wanted if kept.get(name) != wanted[name])
    in_md = f"edited in the generated block {', '.join(changed)}" if changed else ""
    return Check(REPORT_JSON, in_json), Check(REPORT_MD, in_md)
