"""`run --follow`: the same case collected and reported anew while the outage is on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from incident_rca.cli import collect
from incident_rca.cli.clock import SystemClock
from incident_rca.cli.collect_options import How, When, Where
from incident_rca.cli.terminal import say, settings
from incident_rca.errors import BadWindow, ExitCode

if TYPE_CHECKING:
    from incident_rca.model import Analysis

EVERY_SECONDS = 30.0


def until_over(folder: Path, when: When, where: Where, how: How, every_seconds: float) -> Analysis:
    """The last analysis, once the outage is over; only its report has charts.

    Ends at Ctrl-C as well, with a report of what was fetched. Raises BadWindow where the
    window does not end now.
    """
    if when.end not in (None, "now") or not (when.last or when.start):
        raise BadWindow(
            "--follow needs a window that ends now", hint="give --from 14:10 --to now, or --last 1h"
        )
    last: Analysis | None = None
    try:
        for analysis in _rounds(folder, when, where, how, every_seconds):
            before, last = last, analysis
            _tell(before, analysis, quiet=how.quiet)
    except KeyboardInterrupt:
        if last is not None and how.with_charts:
            _report(folder, how)
        raise
    assert last is not None
    return _report(folder, how) if how.with_charts else last


def _report(folder: Path, how: How) -> Analysis:
    """The report with its charts, of what the case holds now: a round may have been cut off."""
    from incident_rca import pipeline

    return pipeline.report_case(folder, force=how.force, with_page=how.with_page)


def _rounds(
    folder: Path, when: When, where: Where, how: How, every_seconds: float
) -> Iterator[Analysis]:
    """The analysis of each round that had anything, until it is over."""
    from incident_rca import pipeline
    from incident_rca.report import followed
    from incident_rca.window import format_instant

    clock = SystemClock()
    start = collect.window_asked(folder, when, settings(how.config)).start
    begin = replace(when, start=format_instant(start), end="now", last=None)
    while True:
        started = clock.monotonic()
        done = collect.fetch(folder, begin, where, replace(how, quiet=True))
        if collect.exit_code(done.case) is not ExitCode.NO_EVIDENCE:
            analysis = pipeline.report_case(
                folder, force=how.force, with_charts=False, with_page=how.with_page
            )
            yield analysis
            if followed.is_over(analysis):
                return
        else:
            say(f"{clock.now():%H:%M:%S} UTC  no source has anything of this window yet")
        clock.sleep(max(0.0, every_seconds - (clock.monotonic() - started)))


def _tell(before: Analysis | None, analysis: Analysis, *, quiet: bool) -> None:
    from incident_rca.report import followed

    say(f"{analysis.case.window.end:%H:%M:%S} UTC  {followed.answer(analysis)}")
    for line in followed.changes(before, analysis):
        say(f"  {line}", quiet=quiet)
