"""The analysis as report.md: generated blocks, and placeholders for what only people know."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FunctionLoader,
    PackageLoader,
    StrictUndefined,
    Template,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from incident_rca.analysis.roles import HOLDS
from incident_rca.errors import BadTemplate
from incident_rca.model import (
    Analysis,
    Claim,
    Event,
    Hypothesis,
    LatencyShift,
    Premise,
    Role,
    Stance,
)
from incident_rca.redact import plain
from incident_rca.report import blocks, pareto, what_if, wording
from incident_rca.report.actions import actions
from incident_rca.report.answers import answers
from incident_rca.report.cascade import steps, sustained
from incident_rca.report.charts.chart import Chart
from incident_rca.report.consoles import Link, links
from incident_rca.report.contract import SCHEMA_VERSION, numbered_claims, to_contract
from incident_rca.report.failure_modes import failure_modes, not_judged
from incident_rca.report.glossary import terms_in
from incident_rca.report.highlights import key_events, rows_on_screen
from incident_rca.report.impact import measures
from incident_rca.report.incomplete_sources import warnings
from incident_rca.report.numbers import grouped, percent
from incident_rca.report.options import options
from incident_rca.report.redactions import in_words
from incident_rca.report.safe_text import (
    NOTHING,
    Markdown,
    code_block,
    code_span,
    escape,
    with_code,
)
from incident_rca.report.state_rows import state_rows
from incident_rca.report.summary import (
    Code,
    Sentence,
    best_of,
    has_support,
    of_role,
    sentences,
    support_of,
    without_outage,
)
from incident_rca.report.told import ASIDE, LIMIT
from incident_rca.report.tree import blocking_tree
from incident_rca.window import format_duration, format_instant

IDS_IN_CELL = 3
IDS_IN_LINE = 6
OWN = "report.md.j2"
LANGUAGES = {"postgres": "sql", "gateway": "text", "grpc_metrics": "text"}
_OURS = PackageLoader("incident_rca.report", "templates")
_HINT = "docs/templates.md names what a template may use, and shows one"


def to_markdown(analysis: Analysis, charts: Sequence[Chart] = ()) -> str:
    """report.md, the same on each run, with the charts that stand beside it.

    Its generated blocks carry their hashes.
    """
    return blocks.seal(_rendered(_own_template(), analysis, charts))


def by_template(analysis: Analysis, source: str, name: str) -> str:
    """What a team's own template makes of the same objects, without markers of blocks.

    Raises BadTemplate with the file and line of what is wrong; `name` is what it is called there.
    """
    loaders = (FunctionLoader(lambda asked: (source, name, None) if asked == name else None), _OURS)
    try:
        template = _environment(ChoiceLoader(loaders)).get_template(name)
        return blocks.without_markers(_rendered(template, analysis))
    except TemplateSyntaxError as error:
        place = f"{error.filename or name}:{error.lineno}"
        raise BadTemplate(f"{place}: {error.message}", hint=_HINT) from error
    except TemplateNotFound as error:
        place = f"{name}:{_line_of(error, name)}"
        raise BadTemplate(f"{place}: no part is called {error.name}", hint=_HINT) from error
    except Exception as error:  # a template is a program of somebody else: it may raise anything
        place = f"{name}:{_line_of(error, name)}"
        raise BadTemplate(f"{place}: {str(error) or type(error).__name__}", hint=_HINT) from error


@cache
def _own_template() -> Template:
    return _environment(_OURS).get_template(OWN)


def _line_of(error: Exception, name: str) -> int:
    """The last line of the template that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename == name and f.lineno), 1)


def _rendered(template: Template, analysis: Analysis, charts: Sequence[Chart] = ()) -> str:
    """The text of a template; its glossary holds the terms that the rest of it uses."""
    view = view_of(analysis) | {"charts": charts}
    terms = terms_in(template.render(view))
    return template.render(view | {"glossary": terms})


def _environment(loader: BaseLoader) -> Environment:
    # The report's own template is held to the same rules as a team's.
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        # Autoescape is for HTML; `finalize` sees the value of every expression.
        autoescape=False,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": _code,
        "quoted": with_code,
        "short": plain,
        "sentence": wording.as_sentence,
    }
    return environment


def _finalized(value: object) -> Markdown:
    if isinstance(value, Markdown):
        return value
    if value is None:
        return Markdown(NOTHING)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Markdown(grouped(value))
    return escape(str(value))


def _code(text: str, limit: int = 120) -> Markdown:
    return code_span(plain(text, limit))


def _said(sentence: Sentence) -> Markdown:
    values = (
        code_span(plain(value, LIMIT), in_table=False)
        if isinstance(value, Code)
        else escape(plain(value, LIMIT))
        for value in sentence.values
    )
    return Markdown(sentence.pattern.format(*values))


def view_of(analysis: Analysis) -> dict[str, Any]:
    """What a template may name: the analysis, rows made from it, ways to write times and ids.

    docs/templates.md says what each name holds.
    """
    return {
        **_facts(analysis),
        **_ways_to_write(analysis),
        "answers": answers(analysis),
        "steps": steps(analysis),
        "sustained": sustained(analysis),
        "options": options(analysis),
        "failure_modes": failure_modes(analysis),
        "not_judged": not_judged(analysis),
        "glossary": (),
        "charts": (),
    }


def _facts(analysis: Analysis) -> dict[str, Any]:
    """The analysis, and rows made from it in the order of the report."""
    clock = wording.Clock.of(analysis)
    limit = rows_on_screen(analysis)
    return {
        "a": analysis,
        "case": analysis.case,
        "outage": analysis.outage,
        "schema_version": SCHEMA_VERSION,
        "summary": [(_said(sentence), sentence.evidence) for sentence in sentences(analysis)],
        "calm": without_outage(analysis),
        "warnings": warnings(analysis),
        "measures": measures(analysis),
        "events": [_event(clock, event) for event in key_events(analysis, limit)],
        "all_events": [_event(clock, event) for event in analysis.timeline],
        "best_trigger": best_of(analysis, Role.TRIGGER),
        "triggers": of_role(analysis, Role.TRIGGER),
        "contributing": [h for h in of_role(analysis, Role.CONTRIBUTING) if h.verdict in HOLDS],
        "ranked": [h for h in analysis.hypotheses if h.role not in ASIDE],
        "aside": of_role(analysis, *ASIDE),
        "has_support": has_support(analysis),
        "states": state_rows(analysis),
        "findings": actions(analysis),
        "tried": analysis.what_if,
        "trees": [code_block(blocking_tree(e, clock)) for e in analysis.lock_episodes],
        "call_codes": [_call_codes(shift) for shift in analysis.latency_shifts],
        "hidden": in_words(to_contract(analysis)),
        "queries": [
            (source.name, code_block(source.query, LANGUAGES.get(source.system.value, "text")))
            for source in analysis.case.sources
            if source.query
        ],
        "links": [_away(link) for link in links(analysis.case)],
    }


def _away(link: Link) -> Link:
    """The link with its title as Markdown: its address holds nothing that would end it."""
    return replace(link, title=Markdown(f"[{escape(link.title)}]({link.url})"))


def _ways_to_write(analysis: Analysis) -> dict[str, Any]:
    """How times, numbers, ids and judgements are written; each list of ids raises Uncited."""
    return {
        "clock": wording.Clock.of(analysis),
        "instant": format_instant,
        "duration": format_duration,
        "percent": percent,
        "nothing": NOTHING,
        "cell_ids": lambda evidence: wording.ids(analysis, evidence, IDS_IN_CELL),
        "line_ids": lambda evidence: wording.ids(analysis, evidence, IDS_IN_LINE),
        "premise_ids": lambda premise: _premise_ids(analysis, premise),
        "said": _said,
        "support_of": support_of,
        "claims_for": lambda hypothesis: _claims(hypothesis, Stance.FOR),
        "claims_against": lambda hypothesis: _claims(hypothesis, Stance.AGAINST),
        "explains": lambda h: wording.explains(analysis, h.explains_seconds, h.incident),
        "words": _own_names(wording),
        "what_if": _own_names(what_if),
        "pareto": _own_names(pareto),
    }


def _own_names(module: ModuleType) -> SimpleNamespace:
    """The functions and texts of a module, without its imports: a sandbox must not reach those."""
    own = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (isinstance(value, str) or getattr(value, "__module__", None) == module.__name__)
    }
    return SimpleNamespace(**own)


def _premise_ids(analysis: Analysis, premise: Premise) -> Markdown:
    """The ids behind a premise in brackets; that it is assumed where nothing is behind it."""
    ids = what_if.cited(premise, analysis.evidence_ids)
    if not ids:
        return Markdown("" if premise.evidence else " (assumed)")
    return Markdown(f" [{', '.join(ids[:IDS_IN_CELL])}]")


def _event(clock: wording.Clock, event: Event) -> dict[str, Any]:
    return {
        "at": clock.span(event.at),
        "system": wording.SYSTEM_NAMES[event.system],
        "title": event.title,
        "evidence": event.evidence,
    }


def _claims(hypothesis: Hypothesis, stance: Stance) -> list[tuple[str, Claim]]:
    return [
        (number, claim) for number, claim in numbered_claims(hypothesis) if claim.stance is stance
    ]


def _call_codes(shift: LatencyShift) -> dict[str, Any]:
    counts = ", ".join(f"{code}: {grouped(n)}" for code, n in sorted(shift.status_counts.items()))
    return {"name": f"{shift.service}.{shift.method}", "counts": counts, "evidence": shift.evidence}
