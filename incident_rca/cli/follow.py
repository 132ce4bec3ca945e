"""`run --follow`: the same case collected and reported anew while the outage is on."""

from __future__ import annotations

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
    """The last analysis, once the outage is over.

    Ends at Ctrl-C as well: the case then holds what the last round wrote. Raises BadWindow where
    the window does not end now.
    """
    from incident_rca import pipeline
    from incident_rca.report import followed
    from incident_rca.window import format_instant

    if when.end not in (None, "now") or not (when.last or when.start):
        raise BadWindow(
            "--follow needs a window that ends now", hint="give --from 14:10 --to now, or --last 1h"
        )
    clock = SystemClock()
    start = collect.window_asked(folder, when, settings(how.config)).start
    begin = replace(when, start=format_instant(start), end="now", last=None)
    before: Analysis | None = None
    while True:
        started = clock.monotonic()
        done = collect.fetch(folder, begin, where, replace(how, quiet=True))
        if collect.exit_code(done.case) is not ExitCode.NO_EVIDENCE:
            analysis = pipeline.report_case(
                folder,
                force=how.force,
                with_charts=how.with_charts,
                with_page=how.with_page,
            )
            _tell(before, analysis, quiet=how.quiet)
            before = analysis
            if followed.is_over(analysis):
                return analysis
        else:
            say(f"{clock.now():%H:%M:%S} UTC  no source has anything of this window yet")
        clock.sleep(max(0.0, every_seconds - (clock.monotonic() - started)))


def _tell(before: Analysis | None, analysis: Analysis, *, quiet: bool) -> None:
    from incident_rca.report import followed

    say(f"{analysis.case.window.end:%H:%M:%S} UTC  {followed.answer(analysis)}")
    for line in followed.changes(before, analysis):
        say(f"  {line}", quiet=quiet)
