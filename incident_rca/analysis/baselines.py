"""What was read of the time before the outage, and what failed in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from incident_rca.analysis.evidence import rows_as_evidence
from incident_rca.analysis.frames import chosen, pieces, sums
from incident_rca.analysis.outage import recorded_from
from incident_rca.model import Baseline, Case, ErrorBurst, Span, System
from incident_rca.tables import Tables

if TYPE_CHECKING:
    import pandas as pd


def baselines(case: Case, tables: Tables, outage: ErrorBurst | None) -> tuple[Baseline, ...]:
    """The stretches before the outage that were read, each with its records and its failures."""
    found = []
    asked = {s.name: s.covered for s in case.sources}
    for (source, _), rows in pieces(tables.baseline, "source", "file"):
        window = asked.get(source)
        if window is None:
            continue
        failed = _by_status(rows)
        scanned = rows["records_scanned"].dropna()
        records = int(scanned.max()) if len(scanned) else int(rows["requests"].sum())
        found.append(
            Baseline(
                start=window.start,
                end=window.end,
                source=source,
                records=records,
                failures_by_status=failed,
                evidence=rows_as_evidence(
                    rows,
                    system=System.GATEWAY,
                    at=Span(window.start, window.end, "the baseline's window"),
                    seen=f"{records:,} records scanned before the outage; {_in_words(failed)}",
                    first="row",
                    count=records,
                ),
            )
        )
    if outage and outage.start.lo and outage.start.lo > recorded_from(case):
        found += _lead_up(case, tables, outage.start.lo)
    return tuple(sorted(found, key=lambda b: (b.start, b.source)))


def _lead_up(case: Case, tables: Tables, start: datetime) -> list[Baseline]:
    rows = chosen(tables.gateway, tables.gateway["second"] < start.replace(microsecond=0))
    if rows.empty:
        return []
    failed, records = _by_status(rows), int(rows["requests"].sum())
    return [
        Baseline(
            start=recorded_from(case),
            end=start,
            source=evidence.source,
            records=records,
            failures_by_status=failed,
            evidence=(evidence,),
        )
        for evidence in rows_as_evidence(
            rows,
            system=System.GATEWAY,
            at=Span(recorded_from(case), start, "the lead-up"),
            seen=f"{records:,} requests in the lead-up; {_in_words(failed)}",
            first="line_first",
            last="line_last",
            count=records,
        )
    ]


def _by_status(rows: pd.DataFrame) -> Mapping[int, int]:
    failed = sums(rows[rows["status"] >= 500], "status", "requests")
    return {int(status): int(n) for status, n in failed.items() if n}


def _in_words(failed: Mapping[int, int]) -> str:
    """What failed, and that no 502 did where none did.

    >>> _in_words({500: 3}), _in_words({})
    ('3 with status 500, no 502', 'none with status 5xx')
    """
    if not failed:
        return "none with status 5xx"
    parts = [f"{n} with status {status}" for status, n in sorted(failed.items())]
    return ", ".join([*parts, *([] if 502 in failed else ["no 502"])])
