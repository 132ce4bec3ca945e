"""The check-up of servers and services, rich and as JSON: what is wrong first, then the cures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from incident_rca.model import TimeWindow
from incident_rca.model.checkup import Check, CheckState, Checkup, PastSource, WouldShow
from incident_rca.redact import plain
from incident_rca.window import format_instant

_STATE_STYLE = {
    CheckState.PROBLEM: "bold red",
    CheckState.WARNING: "yellow",
    CheckState.UNKNOWN: "magenta",
    CheckState.OK: "green",
}
_SHOWN_STYLE = {
    WouldShow.YES: "green",
    WouldShow.PARTLY: "yellow",
    WouldShow.NO: "bold red",
    WouldShow.UNKNOWN: "magenta",
}
_WIDEST_NAME = 44
# What a lock line needs to be written, to be found again and to be read.
_LOG_CHECKS = ("log_lock_waits", "log_destination", "log_line_prefix", "lc_messages")


def to_json(
    checkups: Iterable[Checkup], window: TimeWindow, not_checked: Sequence[str] = ()
) -> dict[str, Any]:
    """The check-ups for another program; a cure that is not needed is null.

    `not_checked` says in a sentence each what was left out and how to have it checked.
    """
    return {
        "window": {"from": format_instant(window.start), "to": format_instant(window.end)},
        "servers": [
            {
                "server": checkup.server,
                "checks": [_check_as_json(check) for check in checkup.checks],
                "past_window": [_source_as_json(source) for source in checkup.past_window],
            }
            for checkup in checkups
        ],
        "not_checked": list(not_checked),
    }


def checks(checkup: Checkup) -> RenderableType:
    """The heading, what it means for tonight, and the table of checks, the worst first."""
    table = _table("check", "state", "found")
    for state in CheckState:
        for check in checkup.in_state(state):
            word = Text(check.state.value, style=_STATE_STYLE[check.state])
            table.add_row(Text(check.name), word, Text(check.found))
    heading = Text(plain(checkup.server, 200), style="bold").append(
        f"  {_tally(checkup)}", style="not bold"
    )
    return Group(heading, Text(outlook(checkup)), Text(), table)


def past_window(checkup: Checkup, described: str) -> RenderableType:
    """Which sources would have shown the window; those that do not exist here on one line."""
    if not checkup.past_window:
        return Text(f"Of an incident in {described} nothing could be asked", style="dim")
    table = _table("source", "would show it", "why")
    for source in checkup.past_window:
        if source.exists:
            word = Text(source.would_show.value, style=_SHOWN_STYLE[source.would_show])
            table.add_row(Text(source.source), word, Text(source.why))
    absent = ", ".join(source.source for source in checkup.past_window if not source.exists)
    parts: list[RenderableType] = [Text(f"An incident in {described}", style="bold"), table]
    return Group(*parts, *([Text(f"Not here: {absent}", style="dim")] if absent else []))


def cures(checkup: Checkup) -> list[Text]:
    """Under the name of each check its cure, uncut: a line that can be copied."""
    lines: list[Text] = []
    for state in (CheckState.PROBLEM, CheckState.WARNING, CheckState.UNKNOWN):
        for check in checkup.in_state(state):
            if check.cure:
                lines.append(Text(f"# {check.name}", style="dim"))
                lines += map(Text, check.cure.splitlines())
    return [Text("Cures", style="bold"), *lines] if lines else []


def outlook(checkup: Checkup) -> str:
    """Whether an incident of tonight could be explained, in one sentence.

    Of a service, which has no recorder: whether it would give its part of the evidence.
    """
    if checkup.of("recorder") is None:
        return _service_outlook(checkup)
    bad = {check.name for check in checkup.in_state(CheckState.PROBLEM)}
    asked = {check.name for check in checkup.checks if check.state is not CheckState.UNKNOWN}
    if not checkup.reachable:
        return "An incident tonight could not be explained: the server cannot be reached."
    if not {"recorder", "privileges", "track_activities"} & bad and "recorder" in asked:
        return "An incident tonight could be explained: the recorder runs."
    if not set(_LOG_CHECKS) & bad and set(_LOG_CHECKS) <= asked:
        why = "the log will name candidates for the holder, and no recorder sees which it is"
        return f"An incident tonight could be explained in part: {why}."
    return "An incident tonight could not be explained: see the problems below."


def _service_outlook(checkup: Checkup) -> str:
    if not checkup.reachable:
        return "Nothing of an incident tonight could be had from it: it does not let us ask."
    if checkup.in_state(CheckState.PROBLEM):
        return "Evidence of an incident tonight would be missing: see the problems below."
    if checkup.in_state(CheckState.WARNING):
        return "Evidence of an incident tonight could be collected, less of it than there might be."
    return "Evidence of an incident tonight could be collected."


def _tally(checkup: Checkup) -> str:
    words = {CheckState.PROBLEM: "problem", CheckState.WARNING: "warning"}
    counts = [(len(checkup.in_state(state)), word) for state, word in words.items()]
    unknown = len(checkup.in_state(CheckState.UNKNOWN))
    told = [f"{count} {word}{'s' * (count > 1)}" for count, word in counts if count]
    told += [f"{unknown} unknown"] if unknown else []
    return ", ".join(told) or "nothing wrong"


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    # The name of a log group or of a metric would leave no room for what was found.
    table.add_column(headings[0], overflow="fold", max_width=_WIDEST_NAME)
    for heading in headings[1:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], overflow="fold", ratio=1)
    return table


def _check_as_json(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "state": check.state.value,
        "found": check.found,
        "cure": check.cure or None,
    }


def _source_as_json(source: PastSource) -> dict[str, Any]:
    covered = source.covered
    return {
        "source": source.source,
        "would_show": source.would_show.value,
        "from": format_instant(covered.start) if covered else None,
        "to": format_instant(covered.end) if covered else None,
        "why": source.why,
    }
