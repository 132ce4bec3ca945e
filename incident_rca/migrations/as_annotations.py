"""What was found, as workflow commands of GitHub Actions: they become notes beside the lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from incident_rca.migrations.lint import FileReport, LintFinding
from incident_rca.migrations.told import instead, what_is_blocked
from incident_rca.model import Severity

_COMMAND = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "notice",
}


def to_annotations(reports: Sequence[FileReport]) -> Iterator[str]:
    """One line a finding, then what was not checked in each file."""
    for report in reports:
        for finding in report.findings:
            yield _annotation(finding)
        missed = [(n.start.line, n.reason) for n in report.not_checked]
        if report.refused:
            missed = [(1, report.refused)]
        for line, reason in missed:
            yield _command("warning", report.path, f"line={line}", "not checked", reason)
        for ignore in report.unused_ignores:
            text = f"this comment ignores {ignore.rule}, which finds nothing here"
            yield _command("notice", report.path, f"line={ignore.place.line}", "unused", text)
        for bad in report.bad_ignores:
            yield _command("warning", report.path, f"line={bad.place.line}", "ignore", bad.what)


def _annotation(finding: LintFinding) -> str:
    start, end = finding.start, finding.end
    place = f"line={start.line},endLine={end.line}"
    # A column is taken for a single line only.
    if start.line == end.line:
        place += f",col={start.column},endColumn={end.column}"
    text = "\n".join([" ".join(what_is_blocked(finding)), *instead(finding)])
    return _command(_COMMAND[finding.severity], finding.path, place, finding.rule, text)


def _command(command: str, path: str, place: str, title: str, text: str) -> str:
    return f"::{command} file={_property(path)},{place},title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    """As @actions/core writes it (toolkit, command.ts): the runner undoes just these."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
