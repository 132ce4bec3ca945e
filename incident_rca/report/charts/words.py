"""What a picture shows, in words: for its headings, and for whoever does not see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from incident_rca.model import (
    AlignedSeries,
    Analysis,
    Episode,
    Evidence,
    Kind,
    Lane,
    LaneName,
    Role,
)
from incident_rca.redact import plain
from incident_rca.report.numbers import grouped
from incident_rca.report.summary import of_role
from incident_rca.report.wording import ROLE_NAMES, Clock

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
    LaneName.LOCK_WAITERS: "nobody was seen waiting",
    LaneName.LATENCY: "no rise found",
    LaneName.POOL: "none was seen full",
    LaneName.FAILURES: "no outage found",
    LaneName.REQUESTS: "",
}
_ASIDE = (Role.COINCIDENT, Role.RULED_OUT)
_OF_LOCKS = (Kind.LOCK_BLOCKING, Kind.DEADLOCK)
# A gap that takes less of a picture than this is seen in it, and not told.
_GAP_WORTH_TELLING = 0.05
_LONGEST_ALT, _LONGEST_NAME = 1200, 100


def is_recorded(aligned: AlignedSeries, lane: Lane) -> bool:
    """Whether anything is known of the lane at any time of its picture."""
    return bool(lane.episodes) or _unknown_share(aligned, lane) < 1.0


def _unknown_share(aligned: AlignedSeries, lane: Lane) -> float:
    """How much of its picture is not recorded; that no change is listed says nothing of any."""
    if lane.name is LaneName.CHANGES:
        return 0.0 if lane.episodes else 1.0
    return sum(w.seconds for w in lane.not_recorded) / aligned.window.seconds


def told(analysis: Analysis, aligned: AlignedSeries, lane: Lane) -> str:
    """What a lane shows: its longest episode, how many more there are, and what is not known."""
    if not is_recorded(aligned, lane):
        return NOT_RECORDED
    main = longest(aligned, lane.episodes)
    said = [_episode(analysis, main) if main else _NOTHING.get(lane.name, "")]
    if len(lane.episodes) > 1:
        said.append(f"and {len(lane.episodes) - 1} more")
    if lane.name is LaneName.FAILURES and analysis.failures_not_logged:
        said.append(f"{grouped(analysis.failures_not_logged)} more were counted than are logged")
    if _unknown_share(aligned, lane) > _GAP_WORTH_TELLING:
        said.append("in part not recorded")
    return "; ".join(part for part in said if part)


def longest(aligned: AlignedSeries, episodes: Iterable[Episode]) -> Episode | None:
    """The episode that takes most of the picture."""
    window = aligned.window

    def seconds(episode: Episode) -> float:
        start = max(window.start, episode.start.first)
        end = min(window.end, episode.end.hi or episode.end.first)
        return (end - start).total_seconds()

    return max(episodes, key=seconds, default=None)


def _episode(analysis: Analysis, episode: Episode) -> str:
    clock = Clock.of(analysis)
    title = f"{named(episode.title)}{aside(analysis, episode.evidence)}"
    start = clock.span(episode.start)
    if episode.end == episode.start:
        return f"{title}, {start}"
    return f"{title}, {start} to {clock.span(episode.end)}"


def aside(analysis: Analysis, evidence: tuple[Evidence, ...]) -> str:
    """That the lock that this shows is not what caused the outage, where that is concluded.

    What a hypothesis that is not set aside rests on, too, is not.
    """
    cited = set(evidence)
    about = [
        h
        for h in analysis.hypotheses
        if h.kind in _OF_LOCKS and any(cited.intersection(claim.evidence) for claim in h.claims)
    ]
    if not about or any(h.role not in _ASIDE for h in about):
        return ""
    return f" ({about[0].id}: {ROLE_NAMES[about[0].role]})"


def in_words(
    analysis: Analysis, aligned: AlignedSeries, lanes: Sequence[Lane], opening: str
) -> str:
    """The alternative text of a picture of these lanes: what is concluded, then what they show."""
    said = [opening, candidate(analysis, aligned.incident)]
    for lane in lanes:
        shown = told(analysis, aligned, lane)
        most = _highest(lane)
        if shown or most:
            said.append(f"{TITLES[lane.name]}: {'; '.join(p for p in (shown, most) if p)}.")
    return cut(" ".join(part for part in said if part))


def cut(said: str) -> str:
    """An alternative text no longer than somebody wants to hear."""
    return said if len(said) <= _LONGEST_ALT else f"{said[: _LONGEST_ALT - 1]}…"


def named(text: str) -> str:
    """What the evidence calls something, on one line and no longer than a name."""
    return " ".join(plain(text, _LONGEST_NAME).split())


def _highest(lane: Lane) -> str:
    """The highest value of the first series of a lane."""
    if lane.name is not LaneName.LOCK_WAITERS or not lane.series:
        return ""
    series = lane.series[0]
    most = max((v for v in series.values if v is not None), default=0.0)
    return f"up to {grouped(round(most, 1))} for {named(series.name)}" if most else ""


def left_out(lanes: Iterable[Lane], shown: int) -> tuple[str, ...]:
    """A note for each lane that has more series than are drawn."""
    notes = []
    for lane in lanes:
        names = [named(s.name) for s in lane.series[shown:]] + [named(n) for n in lane.left_out]
        if names:
            listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            notes.append(f"{TITLES[lane.name]}: not drawn are {listed}")
    return tuple(notes)


def evidence_of(lanes: Iterable[Lane]) -> tuple[Evidence, ...]:
    """One piece of evidence an episode."""
    return tuple(dict.fromkeys(e.evidence[0] for lane in lanes for e in lane.episodes))


def window_words(aligned: AlignedSeries) -> str:
    """`2026-01-15, 14:10:00 to 14:55:00 UTC`, with both dates where they are two."""
    start, end = aligned.window.start, aligned.window.end
    if start.date() == end.date():
        return f"{start:%Y-%m-%d}, {start:%H:%M:%S} to {end:%H:%M:%S} UTC"
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC"


def candidate(analysis: Analysis, incident: int | None) -> str:
    """The best candidate trigger of an incident, with its verdict."""
    for hypothesis in of_role(analysis, Role.TRIGGER):
        if hypothesis.incident == (incident or 1):
            about = f"{hypothesis.kind.value}, {named(hypothesis.object)}"
            return f"Candidate trigger: {hypothesis.id}, {about}, {hypothesis.verdict.value}."
    return "No hypothesis qualifies as the trigger." if analysis.outage else ""
