"""What a ticket shows of the analysis: titled sections of short lines, in no markup yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from string import Formatter

from incident_rca.model import Analysis, Evidence
from incident_rca.redact import plain
from incident_rca.report import wording
from incident_rca.report.incomplete_sources import warnings
from incident_rca.report.numbers import grouped
from incident_rca.report.safe_text import clean
from incident_rca.report.summary import Code, Sentence, has_support, sentences
from incident_rca.window import format_duration, format_instant

ENDPOINTS_SHOWN = 10
HYPOTHESES_SHOWN = 6
FINDINGS_SHOWN = 6
QUESTIONS_SHOWN = 5
IDS_SHOWN = 3
# So that a line fits into a post of any system, whatever a log says in it.
LONGEST_RUN = 500

Line = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and lines of it; a line is made of runs of text, some of them Code."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """The title, what the post is, its sections, and who wrote it; all of it printable."""

    title: str
    opening: Line
    sections: tuple[Section, ...]
    case: str
    tool_version: str


def digest(analysis: Analysis) -> Digest:
    """What is said of a case in a post: what its report says first, with the same evidence ids."""
    case = analysis.case
    window = f"{format_instant(case.window.start)} to {format_instant(case.window.end)}"
    length = format_duration(case.window.seconds)
    sections = (
        Section("Summary", tuple(_summary(analysis))),
        Section("Warnings", tuple(_warnings(analysis))),
        Section("Endpoints", tuple(_endpoints(analysis))),
        Section("Hypotheses", tuple(_hypotheses(analysis))),
        Section("Findings", tuple(_findings(analysis))),
        Section("Open questions", tuple(_questions(analysis))),
    )
    return Digest(
        title=plain(f"{case.id}: {case.title}" if case.title else case.id, 140),
        opening=line_of(
            f"Draft, generated, not reviewed. Window {window} ({length}). All times are UTC. "
            "Codes in brackets name evidence: report.md says where each stands."
        ),
        sections=tuple(section for section in sections if section.lines),
        case=plain(case.id, 60),
        tool_version=case.tool_version,
    )


def line_of(*runs: str) -> Line:
    """The runs, each on one line and bounded; those that are no code beside each other are one."""
    joined: list[str] = []
    for run in runs:
        text = plain(clean(run), LONGEST_RUN)
        if isinstance(run, Code):
            joined += [Code(text)] if text else []
        elif joined and not isinstance(joined[-1], Code):
            joined[-1] += _spaced(run, text)
        else:
            joined.append(_spaced(run, text))
    return tuple(run for run in joined if run)


def _spaced(run: str, text: str) -> str:
    """The text with one blank where the run had some at an end, which joins it to its neighbour."""
    if not text:
        return " " * bool(run)
    return f"{' ' * run[0].isspace()}{text}{' ' * run[-1].isspace()}"


def _cited(analysis: Analysis, evidence: Sequence[Evidence]) -> str:
    return f" [{wording.ids(analysis, tuple(evidence), IDS_SHOWN)}]"


def _summary(analysis: Analysis) -> Iterator[Line]:
    said = sentences(analysis)
    if not said:
        yield line_of("This case holds no evidence, so nothing can be said about the incident.")
    if analysis.outage and not has_support(analysis):
        yield line_of("No hypothesis is supported by the data.")
    for sentence in said:
        yield line_of(*runs_of(sentence), _cited(analysis, sentence.evidence))


def runs_of(sentence: Sentence) -> Iterator[str]:
    """The pattern's own text and its values in turn, each in a piece of its own."""
    values = iter(sentence.values)
    for text, field, _, _ in Formatter().parse(sentence.pattern):
        if text:
            yield text
        if field is not None:
            yield next(values)


def _warnings(analysis: Analysis) -> Iterator[Line]:
    for gap in warnings(analysis):
        yield line_of(f"{gap.name}: {gap.state}", f". Cost: {gap.cost}.")


def _endpoints(analysis: Analysis) -> Iterator[Line]:
    shown = analysis.endpoints[:ENDPOINTS_SHOWN]
    for e in shown:
        counts = f"{wording.failed_of(e)} of {grouped(e.requests)} requests failed"
        said = f": {wording.impact_words(e)}; {counts}{_cited(analysis, e.evidence)}"
        yield line_of(Code(e.name), said)
    yield from _rest(len(analysis.endpoints) - len(shown))


def _hypotheses(analysis: Analysis) -> Iterator[Line]:
    shown = analysis.hypotheses[:HYPOTHESES_SHOWN]
    for h in shown:
        role = wording.role_words(analysis, h)
        explained = wording.explains(analysis, h.explains_seconds, h.incident)
        about = f": {role}; verdict {h.verdict.value}, {wording.sources_count(h)}"
        yield line_of(f"{h.id} {h.kind.value}, ", Code(h.object), f"{about}; explains {explained}")
    yield from _rest(len(analysis.hypotheses) - len(shown))


def _findings(analysis: Analysis) -> Iterator[Line]:
    ordered = sorted(analysis.findings, key=lambda f: wording.SEVERITY_ORDER.index(f.severity))
    for finding in ordered[:FINDINGS_SHOWN]:
        said = f"{finding.severity.value}: {wording.as_sentence(finding.statement)}"
        yield line_of(said, _cited(analysis, finding.evidence))
    yield from _rest(len(ordered) - FINDINGS_SHOWN)


def _questions(analysis: Analysis) -> Iterator[Line]:
    for question in analysis.questions[:QUESTIONS_SHOWN]:
        yield line_of(question)
    yield from _rest(len(analysis.questions) - QUESTIONS_SHOWN)


def _rest(number: int) -> Iterable[Line]:
    return [line_of(f"+ {number} more in report.md")] if number > 0 else []
