"""`incident-rca explain`: one hypothesis with the rows behind each of its claims."""

from __future__ import annotations

from typing import Annotated

import typer

from incident_rca.cli.terminal import CaseFolder, Json, Quiet, out, print_json, progress
from incident_rca.errors import NoSuchHypothesis
from incident_rca.model import Analysis


def explain(
    case: CaseFolder,
    hypothesis: Annotated[
        str, typer.Argument(metavar="[H1]", help="The hypothesis's id; left out: the whole chain.")
    ] = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a hypothesis with its claims, the rows (redacted) behind each, what would change it.

    Example: incident-rca explain INC-2847 H1
    """
    from incident_rca import pipeline
    from incident_rca.analysis.verdicts import what_would_change
    from incident_rca.report import terminal
    from incident_rca.report.contract import to_contract

    with progress(quiet=quiet) as step:
        analysis = pipeline.analyse_case(case, step)
    if not hypothesis:
        _chain(analysis, as_json=as_json)
        return
    wanted = next((h for h in analysis.hypotheses if h.id == hypothesis.upper()), None)
    if wanted is None:
        ids = ", ".join(f"{h.id} {h.kind} ({h.object})" for h in analysis.hypotheses)
        raise NoSuchHypothesis(
            f"{case}: has no hypothesis {hypothesis}",
            hint=f"it has: {ids}" if ids else "it has none: the summary of its report says why",
        )
    if as_json:
        contract = to_contract(analysis)
        excerpts = {analysis.evidence_ids[e.digest]: list(e.excerpt) for e in analysis.evidence}
        chosen = next(h for h in contract["hypotheses"] if h["id"] == wanted.id)
        cited_ids = {i for c in chosen["claims"] for i in c["evidence"]}
        evidence = [
            e | {"excerpt": excerpts[e["id"]]} for e in contract["evidence"] if e["id"] in cited_ids
        ]
        would_change = list(what_would_change(wanted))
        print_json({"hypothesis": chosen, "evidence": evidence, "would_change": would_change})
    else:
        out().print(terminal.explanation(analysis, wanted, what_would_change(wanted)))


def _chain(analysis: Analysis, *, as_json: bool) -> None:
    from rich.text import Text

    from incident_rca.redact import plain
    from incident_rca.report import terminal
    from incident_rca.report.contract import to_contract
    from incident_rca.report.summary import without_outage

    if as_json:
        contract = to_contract(analysis)
        print_json({name: contract[name] for name in ("hypotheses", "states", "unexplained")})
    elif analysis.hypotheses:
        out().print(terminal.chain(analysis))
        if analysis.states:
            out().print()
            out().print(terminal.states(analysis))
    else:
        known = " ".join(plain(sentence.plain, 300) for sentence in without_outage(analysis))
        out().print(Text(f"This case has no hypothesis. {known}".rstrip()))
