"""The case as a report shows it: each source with its limits and gaps, absent systems named."""

from __future__ import annotations

from dataclasses import replace

from incident_rca.formats import BY_KIND, FORMATS
from incident_rca.model import INDEPENDENT_SYSTEMS, Case, SourceState, SourceStatus, TimeWindow
from incident_rca.pseudonyms import numbered
from incident_rca.tables import Tables
from incident_rca.window import format_instant, whole_seconds


def reported(case: Case, tables: Tables) -> tuple[Case, Tables]:
    """The case as a report shows it, and its tables with the same numbers for what is hidden."""
    return numbered(as_reported(case), tables)


def as_reported(case: Case) -> Case:
    """The case as a report shows it: each source with its limits and gaps, absent systems named."""
    return with_absent_systems(with_uncovered(with_gaps(with_limits(case))))


def with_limits(case: Case) -> Case:
    """The case with what each source never shows, being of its kind and in its format."""
    known = (
        replace(s, cannot_show=_cannot_show(s)) if s.kind in BY_KIND else s for s in case.sources
    )
    return replace(case, sources=tuple(known))


def _cannot_show(source: SourceStatus) -> str:
    facts = (*source.lacks, BY_KIND[source.kind].cannot_show)
    return "; ".join(fact for fact in facts if fact)


def with_gaps(case: Case) -> Case:
    """The case with `partial` for each source that recorded nothing for a while of its window."""
    return replace(case, sources=tuple(_with_gaps(s, case.window) for s in case.sources))


def _with_gaps(source: SourceStatus, window: TimeWindow) -> SourceStatus:
    inside = [g for g in source.gaps if g.window.end > window.start and g.window.start < window.end]
    if not inside or source.state is not SourceState.OK:
        return source
    longest = max(inside, key=lambda g: (g.window.seconds, g.window.start))
    more = f" and {len(inside) - 1} shorter gaps" if len(inside) > 1 else ""
    return replace(
        source,
        state=SourceState.PARTIAL,
        reason=(
            f"not recorded from {format_instant(longest.window.start)} to "
            f"{format_instant(longest.window.end)}{more}: {longest.reason}"
        ),
        hint="what happened in the gaps is not known",
    )


def with_uncovered(case: Case) -> Case:
    """The case with `partial` for the gateway's logs where they hold nothing of the window."""
    if case.recorded is not None:
        return case
    logs = {s.name for s in case.gateway_logs}
    sources = (_uncovered(s) if s.name in logs and s.covered else s for s in case.sources)
    return replace(case, sources=tuple(sources))


def _uncovered(source: SourceStatus) -> SourceStatus:
    assert source.covered is not None
    edges = whole_seconds(source.covered)
    start, end = format_instant(edges.start), format_instant(edges.end)
    reason = f"holds nothing of the window: it covers {start} to {end}"
    hint = f"report again with --from {start} --to {end}, or import the log of the window"
    return replace(
        source,
        state=SourceState.PARTIAL,
        reason="; ".join(filter(None, (reason, source.reason))),
        hint="; ".join(filter(None, (hint, source.hint))),
    )


def with_absent_systems(case: Case) -> Case:
    """The case with a `skipped` source for each system of which it holds nothing at all."""
    present = {s.system for s in case.sources}
    absent = [s for s in sorted(INDEPENDENT_SYSTEMS) if s not in present]
    skipped = (
        SourceStatus(
            name=system,
            system=system,
            kind="none",
            state=SourceState.SKIPPED,
            reason=f"nothing of {system} was imported",
            hint=f"import it: {', '.join(f.kind for f in FORMATS if f.system is system)}",
        )
        for system in absent
    )
    return replace(case, sources=(*case.sources, *skipped))
