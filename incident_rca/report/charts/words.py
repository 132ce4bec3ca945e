"""What a picture shows, in words: for its headings, and for whoever does not see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from incident_rca.model import AlignedSeries, Analysis, Episode, Evidence, Lane, LaneName, Role
from incident_rca.report.numbers import grouped
from incident_rca.report.safe_text import clean
from incident_rca.report.wording import Clock

TITLES: Mapping[LaneName, str] = {
    LaneName.CHANGES: "Changes",
    LaneName.LOCK_WAITERS: "Sessions waiting for locks",
    LaneName.LATENCY: "Latency of gRPC calls",
    LaneName.POOL: "Pool connections in use",
    LaneName.FAILURES: "Failed requests a second",
    LaneName.REQUESTS: "Requests a second",
    LaneName.ERROR_TYPES: "Failed requests a second, by type",
}
NOT_RECORDED = "not recorded in this case"
_NOTHING: Mapping[LaneName, str] = {
    LaneName.LOCK_WAITERS: "nobody waited",
    LaneName.LATENCY: "no rise found",
    LaneName.POOL: "none was full",
    LaneName.FAILURES: "no outage found",
    LaneName.REQUESTS: "",
}
# A gap that takes less of a picture than this is seen in it, and not told.
_GAP_WORTH_TELLING = 0.05
_LONGEST_ALT = 1200


def is_recorded(lane: Lane) -> bool:
    """Whether anything is known of the lane at any time of its picture."""
    return any(value is not None for s in lane.series for value in s.values)


def told(clock: Clock, aligned: AlignedSeries, lane: Lane) -> str:
    """What a lane shows: its longest episode, how many more there are, and what is not known."""
    if lane.name is not LaneName.CHANGES and not is_recorded(lane) and not lane.episodes:
        return NOT_RECORDED
    main = longest(aligned, lane.episodes)
    said = [_episode(clock, main) if main else _NOTHING.get(lane.name, "")]
    if len(lane.episodes) > 1:
        said.append(f"and {len(lane.episodes) - 1} more")
    unknown = sum(w.seconds for w in lane.not_recorded)
    if lane.name is not LaneName.CHANGES and unknown > aligned.window.seconds * _GAP_WORTH_TELLING:
        said.append("in part not recorded")
    return "; ".join(part for part in said if part)


def longest(aligned: AlignedSeries, episodes: Iterable[Episode]) -> Episode | None:
    """The episode that takes most of the picture."""
    window = aligned.window

    def seconds(episode: Episode) -> float:
        start = max(window.start, episode.start.first)
        end = min(window.end, episode.end.hi or window.end)
        return (end - start).total_seconds()

    return max(episodes, key=seconds, default=None)


def _episode(clock: Clock, episode: Episode) -> str:
    start = clock.span(episode.start)
    if episode.end == episode.start:
        return f"{clean(episode.title)}, {start}"
    until = "the end" if episode.end.hi is None else clock.span(episode.end)
    return f"{clean(episode.title)}, {start} to {until}"


def in_words(
    clock: Clock, aligned: AlignedSeries, lanes: Sequence[Lane], opening: str, closing: str = ""
) -> str:
    """The alternative text of a picture of these lanes."""
    said = [opening]
    for lane in lanes:
        shown = told(clock, aligned, lane)
        most = _highest(lane)
        if shown or most:
            said.append(f"{TITLES[lane.name]}: {'; '.join(p for p in (shown, most) if p)}.")
    text = " ".join([*said, closing]).strip()
    return text if len(text) <= _LONGEST_ALT else f"{text[: _LONGEST_ALT - 1]}…"


def _highest(lane: Lane) -> str:
    """The highest value of the first series of a lane."""
    if lane.name is not LaneName.LOCK_WAITERS or not lane.series:
        return ""
    series = lane.series[0]
    most = max((v for v in series.values if v is not None), default=0.0)
    return f"up to {grouped(round(most, 1))} for {clean(series.name)}" if most else ""


def left_out(lanes: Iterable[Lane], shown: int) -> tuple[str, ...]:
    """A note for each lane that has more series than are drawn."""
    notes = []
    for lane in lanes:
        names = [clean(s.name) for s in lane.series[shown:]] + [clean(n) for n in lane.left_out]
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            notes.append(f"{TITLES[lane.name].lower()}: not drawn are {listed}")
    return tuple(notes)


def evidence_of(lanes: Iterable[Lane]) -> tuple[Evidence, ...]:
    """One piece of evidence an episode."""
    return tuple(dict.fromkeys(e.evidence[0] for lane in lanes for e in lane.episodes))


def window_words(clock: Clock, start: datetime, end: datetime) -> str:
    """`14:10:00 to 14:55:00 UTC on 2026-01-15`."""
    return f"{clock.time(start)} to {clock.time(end)} UTC on {start:%Y-%m-%d}"


def candidate(analysis: Analysis, incident: int | None) -> str:
    """The best candidate trigger of an incident, with its verdict."""
    best = next(
        (
            h
            for h in analysis.hypotheses
            if h.role is Role.TRIGGER and h.incident == (incident or 1)
        ),
        None,
    )
    if best is None:
        return "No hypothesis qualifies as the trigger." if analysis.outage else ""
    named = f"{best.kind.value}, {clean(best.object)}"
    return f"Candidate trigger: {best.id}, {named}, {best.verdict.value}."
