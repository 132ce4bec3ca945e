"""What was found, as SARIF 2.1.0 (OASIS), which code scanning of GitHub, GitLab and Azure reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from incident_rca.migrations.document import page
from incident_rca.migrations.lint import FileReport, LintFinding
from incident_rca.migrations.rules import RULES
from incident_rca.migrations.told import what_is_blocked
from incident_rca.model import Severity

_LEVEL = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
_INDEX = {rule.name: index for index, rule in enumerate(RULES)}


def to_sarif(reports: Sequence[FileReport], version: str) -> Any:
    """One run; what a comment ignores is suppressed with its reason, what was not read is told."""
    results = [_result(f) for report in reports for f in report.findings]
    for report in reports:
        for ignored in report.ignored:
            suppression = {"kind": "inSource", "justification": ignored.because}
            results.append({**_result(ignored.finding), "suppressions": [suppression]})
    driver = {
        "name": "incident-rca lint",
        "version": version,
        "rules": [
            {
                "id": rule.name,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.instead, "markdown": page(rule)},
            }
            for rule in RULES
        ],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": results,
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [n for r in reports for n in _notifications(r)],
            }
        ],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }


def _result(finding: LintFinding) -> dict[str, Any]:
    start, end = finding.start, finding.end
    region = {
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "level": _LEVEL[finding.severity],
        "message": {"text": " ".join(what_is_blocked(finding))},
        "locations": [{"physicalLocation": {**_artifact(finding.path), "region": region}}],
    }


def _artifact(path: str) -> dict[str, Any]:
    return {"artifactLocation": {"uri": quote(path)}}


def _notifications(report: FileReport) -> list[dict[str, Any]]:
    missed = [(n.start.line, f"not checked: {n.reason}") for n in report.not_checked]
    if report.refused:
        missed = [(1, f"not checked: {report.refused}")]
    missed += [(i.place.line, f"ignores {i.rule}: unused") for i in report.unused_ignores]
    missed += [(b.place.line, b.what) for b in report.bad_ignores]
    return [
        {
            "level": "warning",
            "message": {"text": text},
            "locations": [
                {"physicalLocation": {**_artifact(report.path), "region": {"startLine": line}}}
            ],
        }
        for line, text in missed
    ]
