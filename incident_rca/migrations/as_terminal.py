"""What was found, for people: each finding with the lines it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.text import Text

from incident_rca.migrations.lint import FileReport, LintFinding
from incident_rca.migrations.sizes import TableSizes
from incident_rca.migrations.told import coverage, instead, what_is_blocked
from incident_rca.model import Severity
from incident_rca.redact import plain

_STYLE = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "bold red",
    Severity.MEDIUM: "bold yellow",
    Severity.LOW: "bold",
}
EXCERPT_LINES = 4
LONGEST_LINE = 200


def to_lines(
    reports: Sequence[FileReport], sizes: TableSizes | None, now: datetime
) -> Iterator[Text]:
    """The findings with their source, then what was not checked, then the coverage."""
    for report in reports:
        rows = report.text.split("\n")
        for finding in report.findings:
            yield from _finding(finding, rows)
        yield from _notes(report)
    for line in coverage(reports, sizes, now):
        yield Text(line)


def _finding(finding: LintFinding, rows: Sequence[str]) -> Iterator[Text]:
    head = Text(f"{finding.path}:{finding.start.line}:{finding.start.column}  ")
    head.append(str(finding.severity), style=_STYLE[finding.severity])
    head.append(f"  {finding.rule}")
    yield head
    yield from _excerpt(finding, rows)
    for sentence in what_is_blocked(finding):
        yield Text(f"  {plain(sentence, 2000)}")
    for line in instead(finding):
        yield Text(f"  {line}" if line == "Instead:" else f"    {plain(line, 2000)}")
    yield Text("")


def _excerpt(finding: LintFinding, rows: Sequence[str]) -> Iterator[Text]:
    """The first lines of the statement; one on a single line is underlined."""
    first, last = finding.start.line, finding.end.line
    width = len(str(last))
    for number in range(first, min(last, first + EXCERPT_LINES - 1) + 1):
        yield Text(f"  {number:>{width}} | {plain_row(rows[number - 1])}", style="dim")
    if last - first >= EXCERPT_LINES:
        yield Text(f"  {'':>{width}} | … to line {last}", style="dim")
    elif first == last:
        start = min(finding.start.column - 1, LONGEST_LINE)
        length = max(1, min(finding.end.column - 1, LONGEST_LINE) - start)
        yield Text(f"  {'':>{width}} | {' ' * start}{'^' * length}", style="dim")


def plain_row(row: str) -> str:
    """A line of source without anything invisible, its leading blanks kept.

    >>> plain_row("\\tSELECT 1")
    ' SELECT 1'
    """
    kept = plain(row, LONGEST_LINE) if row.strip() else ""
    return " " * (len(row) - len(row.lstrip())) + kept


def _notes(report: FileReport) -> Iterator[Text]:
    notes = [f"{report.path}: not checked: {report.refused}"] if report.refused else []
    notes += [
        f"{report.path}:{n.start.line}:{n.start.column}: not checked: {n.reason}"
        for n in report.not_checked
    ]
    notes += [
        f"{report.path}:{i.place.line}: unused: ignores {i.rule}, which finds nothing here"
        for i in report.unused_ignores
    ]
    notes += [f"{report.path}:{b.place.line}: {b.what}" for b in report.bad_ignores]
    for note in notes:
        yield Text(plain(note, 2000))
    if notes:
        yield Text("")
