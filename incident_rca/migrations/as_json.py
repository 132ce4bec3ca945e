"""What was found, as JSON: keys may be added, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from incident_rca.migrations.lint import FileReport, LintFinding
from incident_rca.migrations.sizes import TableSizes

SCHEMA = 1


def to_json(reports: Sequence[FileReport], sizes: TableSizes | None, version: str) -> Any:
    """The reports of a run; lines and columns count from 1, `end` is behind the last character."""
    return {
        "lint_schema": SCHEMA,
        "tool_version": version,
        "sizes": {"origin": sizes.origin, "as_of": sizes.as_of, "server": sizes.server}
        if sizes
        else None,
        "findings": [_finding(f) for report in reports for f in report.findings],
        "ignored": [
            {**_finding(i.finding), "because": i.because} for r in reports for i in r.ignored
        ],
        "files": [_file(report) for report in reports],
    }


def _finding(finding: LintFinding) -> dict[str, Any]:
    blocked = finding.blocking
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "path": finding.path,
        "line": finding.start.line,
        "column": finding.start.column,
        "end_line": finding.end.line,
        "end_column": finding.end.column,
        "relation": finding.relation,
        "lock_mode": finding.lock_mode or None,
        "blocks": finding.blocks or None,
        "message": finding.message,
        "reason": finding.reason or None,
        "estimate": None
        if blocked is None
        else {
            "seconds": round(blocked.seconds, 1),
            "basis": blocked.basis,
            "queued_writes": _whole(blocked.queued_writes),
            "queued_scans": _whole(blocked.queued_scans),
        },
        "rewrite": list(finding.rewrite),
    }


def _whole(number: float | None) -> int | None:
    return None if number is None else round(number)


def _file(report: FileReport) -> dict[str, Any]:
    return {
        "path": report.path,
        "statements": report.statements,
        "refused": report.refused or None,
        "not_checked": [
            {"line": n.start.line, "column": n.start.column, "reason": n.reason}
            for n in report.not_checked
        ],
        "passed_over": report.passed_over,
        "unused_ignores": [{"line": i.place.line, "rule": i.rule} for i in report.unused_ignores],
        "bad_ignores": [{"line": b.place.line, "what": b.what} for b in report.bad_ignores],
    }
