"""A finding in sentences, the same for a terminal, an annotation and a report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from incident_rca.migrations.lint import FileReport, LintFinding
from incident_rca.migrations.sizes import TableSizes
from incident_rca.migrations.weighing import Blocking
from incident_rca.model import Severity


def what_is_blocked(finding: LintFinding) -> list[str]:
    """What it does, which lock that takes, how large the table is and what would queue."""
    first = finding.message[:1].upper() + finding.message[1:]
    said = [f"{first}."]
    if finding.blocks:
        said.append(f"{finding.blocks}.")
    if finding.reason:
        said.append(f"{finding.reason[:1].upper()}{finding.reason[1:]}.")
    if finding.blocking is not None:
        said.append(_estimate(finding.blocking))
    return said


def _estimate(of: Blocking) -> str:
    queued = []
    if of.queued_writes is not None:
        queued.append(f"{of.queued_writes:,.0f} row writes")
    if of.queued_scans is not None:
        queued.append(f"{of.queued_scans:,.0f} scans")
    tail = f"; {' and '.join(queued)} would queue at the rate seen" if queued else ""
    return f"Held at least {of.seconds:,.1f} s ({of.basis}){tail}."


def instead(finding: LintFinding) -> list[str]:
    """The safe way, one statement or comment a line."""
    return ["Instead:", *finding.rewrite] if finding.rewrite else []


def coverage(reports: Sequence[FileReport], sizes: TableSizes | None, now: datetime) -> list[str]:
    """What was checked, with what and how old that is, and what was found."""
    checked = sum(report.statements for report in reports)
    missed = sum(len(report.not_checked) for report in reports)
    refused = [report for report in reports if report.refused]
    share = f" ({checked / (checked + missed):.0%})" if checked + missed else ""
    first = (
        f"Checked {checked:,} of {checked + missed:,} statements{share} in {len(reports):,} "
        f"file{'' if len(reports) == 1 else 's'}"
    )
    passed_over = sum(report.passed_over for report in reports)
    parts = [f"{passed_over} psql commands passed over"] if passed_over else []
    parts += [f"{len(refused)} files not read"] if refused else []
    lines = [", ".join([first, *parts]) + "."]
    if sizes is None:
        lines.append("Sizes: none given, so every lock on an existing table is a warning.")
    else:
        lines.append(
            f"Sizes: {len(sizes.tables):,} tables of {sizes.origin}, {sizes.server}, "
            f"{sizes.as_of}{_age(sizes.as_of, now)}."
        )
    findings = [f for report in reports for f in report.findings]
    counts = [(s, sum(f.severity is s for f in findings)) for s in Severity]
    listed = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    ignored = sum(len(report.ignored) for report in reports)
    lines.append(
        f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
        + (f": {listed}" if listed else "")
        + (f"; {ignored} ignored" if ignored else "")
        + "."
    )
    return lines


def _age(as_of: str, now: datetime) -> str:
    """How many days old something is, from one on.

    >>> _age("2026-01-15T10:00:00Z", datetime.fromisoformat("2026-01-17T09:00:00Z"))
    ', 1 day old'
    """
    try:
        days = (now - datetime.fromisoformat(as_of)).days
    except (TypeError, ValueError):
        return ""
    if days < 1:
        return ""
    return f", {days:,} day{'' if days == 1 else 's'} old"
