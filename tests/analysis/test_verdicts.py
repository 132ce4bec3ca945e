"""Verdicts against an independent statement of DESIGN's rule, over all kinds of claims."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_rca.analysis.verdicts import ranked, verdict_of
from incident_rca.model import (
    Aspect,
    Basis,
    Claim,
    Evidence,
    Hypothesis,
    Kind,
    Role,
    Span,
    Stance,
    System,
    Verdict,
)

AT = Span.at(datetime(2026, 1, 15, 14, 23, tzinfo=UTC))
COUNTED = (System.POSTGRES, System.GRPC_METRICS, System.GATEWAY)


def seen(system: System, what: str = "x") -> Evidence:
    return Evidence(system=system, source="s", at=AT, seen=what, file="raw/f", rows=(1, 1))


def claim(
    aspect: Aspect,
    *systems: System,
    stance: Stance = Stance.FOR,
    basis: Basis = Basis.OBSERVED,
) -> Claim:
    evidence = tuple(seen(system) for system in systems)
    return Claim(text="t", stance=stance, aspect=aspect, basis=basis, evidence=evidence)


PATH = claim(Aspect.PATH, System.POSTGRES)
MECHANISM = claim(Aspect.MECHANISM, System.GATEWAY)
SUPPORTED = (PATH, MECHANISM)


def verdict(*claims: Claim, met: bool = True) -> Verdict:
    return verdict_of(claims, needs_are_met=met)


CLAIMS = st.lists(
    st.builds(
        lambda aspect, systems, stance, basis: claim(aspect, *systems, stance=stance, basis=basis),
        st.sampled_from(Aspect),
        st.lists(st.sampled_from(System), min_size=1, max_size=3, unique=True),
        st.sampled_from([Stance.FOR, Stance.FOR, Stance.FOR, Stance.AGAINST]),
        st.sampled_from([Basis.OBSERVED, Basis.OBSERVED, Basis.INFERRED, Basis.ASSUMED]),
    ),
    max_size=6,
)


def by_the_book(claims: list[Claim], met: bool) -> str:
    """DESIGN.md's sentence on verdicts, word by word."""
    for each in claims:
        if each.stance == "against" and each.aspect in ("path", "mechanism", "order"):
            return "contradicted"
    missing = 3
    for aspect in ("path", "mechanism"):
        if any(c.aspect == aspect and c.basis == "observed" and c.stance == "for" for c in claims):
            missing -= 1
    names: set[str] = set()
    for each in claims:
        if each.stance == "for":
            names |= {evidence.system.value for evidence in each.evidence}
    if len(names - {"changes", "settings"}) >= 2:
        missing -= 1
    if not met or missing > 1:
        return "insufficient"
    return "weak" if missing == 1 else "supported"


@given(claims=CLAIMS, met=st.booleans())
def test_the_rule_as_design_states_it(claims: list[Claim], met: bool) -> None:
    assert verdict_of(claims, needs_are_met=met) == by_the_book(claims, met)


@given(claims=CLAIMS, met=st.booleans(), seed=st.randoms(use_true_random=False))
def test_order_and_repetition_of_claims_change_nothing(
    claims: list[Claim], met: bool, seed: object
) -> None:
    wanted = verdict_of(claims, needs_are_met=met)
    assert verdict_of(claims[::-1], needs_are_met=met) == wanted
    assert verdict_of(claims * 3, needs_are_met=met) == wanted


@given(claims=CLAIMS, more=st.integers(1, 50))
def test_more_rows_of_one_system_never_lift_a_verdict(claims: list[Claim], more: int) -> None:
    heavier = [
        replace(
            each,
            evidence=each.evidence
            + tuple(seen(each.evidence[0].system, f"row {n}") for n in range(more)),
        )
        for each in claims
    ]
    assert verdict_of(heavier, needs_are_met=True) == verdict_of(claims, needs_are_met=True)


@given(claims=CLAIMS, system=st.sampled_from([System.CHANGES, System.SETTINGS]))
def test_changes_and_settings_are_no_system(claims: list[Claim], system: System) -> None:
    more = [replace(c, evidence=(*c.evidence, seen(system))) for c in claims]
    other = claim(Aspect.DOSE, system)
    wanted = verdict_of(claims, needs_are_met=True)
    assert verdict_of([*more, other], needs_are_met=True) == wanted


# --- each row of the table by hand --------------------------------------------------------------


@pytest.mark.parametrize("pair", list(permutations(COUNTED, 2)))
def test_path_and_mechanism_from_two_systems_are_supported(pair: tuple[System, System]) -> None:
    a, b = pair
    assert verdict(claim(Aspect.PATH, a), claim(Aspect.MECHANISM, b)) is Verdict.SUPPORTED


@pytest.mark.parametrize("system", COUNTED)
def test_one_system_alone_is_weak(system: System) -> None:
    claims = [claim(aspect, system) for aspect in Aspect]
    assert verdict(*claims) is Verdict.WEAK


@pytest.mark.parametrize("basis", [Basis.INFERRED, Basis.ASSUMED])
@pytest.mark.parametrize("position", [0, 1])
def test_an_inferred_path_or_mechanism_is_missing(basis: Basis, position: int) -> None:
    claims = list(SUPPORTED)
    claims[position] = replace(claims[position], basis=basis)
    assert verdict(*claims) is Verdict.WEAK
    assert verdict(*claims, SUPPORTED[position]) is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ((claim(Aspect.PATH, *COUNTED),), Verdict.WEAK),
        ((claim(Aspect.MECHANISM, *COUNTED),), Verdict.WEAK),
        ((claim(Aspect.ORDER, *COUNTED),), Verdict.INSUFFICIENT),
        ((PATH,), Verdict.INSUFFICIENT),
        ((MECHANISM,), Verdict.INSUFFICIENT),
        ((), Verdict.INSUFFICIENT),
    ],
)
def test_what_is_missing_decides(claims: tuple[Claim, ...], expected: Verdict) -> None:
    assert verdict(*claims) is expected


def test_a_needed_source_that_is_not_ok_is_insufficient() -> None:
    assert verdict(*SUPPORTED, met=False) is Verdict.INSUFFICIENT


@pytest.mark.parametrize("aspect", list(Aspect))
def test_only_path_mechanism_and_order_contradict(aspect: Aspect) -> None:
    against = claim(aspect, System.GATEWAY, stance=Stance.AGAINST)
    decisive = aspect in (Aspect.PATH, Aspect.MECHANISM, Aspect.ORDER)
    expected = Verdict.CONTRADICTED if decisive else Verdict.SUPPORTED
    assert verdict(*SUPPORTED, against) is expected
    if decisive:
        assert verdict(*SUPPORTED, against, met=False) is Verdict.CONTRADICTED


def test_claims_against_bring_no_system() -> None:
    one = (claim(Aspect.PATH, System.POSTGRES), claim(Aspect.MECHANISM, System.POSTGRES))
    against = claim(Aspect.DOSE, System.GATEWAY, stance=Stance.AGAINST)
    assert verdict(*one, against) is Verdict.WEAK


# --- ranks --------------------------------------------------------------------------------------


def hypothesis(verdict: Verdict, role: Role, seconds: float = 0.0, name: str = "a") -> Hypothesis:
    return Hypothesis(
        kind=Kind.CHANGE,
        object=name,
        role=role,
        verdict=verdict,
        statement="s",
        claims=(PATH,),
        explains_seconds=seconds,
    )


HYPOTHESES = st.lists(
    st.builds(
        hypothesis,
        st.sampled_from(Verdict),
        st.sampled_from(Role),
        st.sampled_from([0.0, 10.0, 240.5]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=8,
)


@given(candidates=HYPOTHESES)
def test_ranks_do_not_depend_on_the_order_given(candidates: list[Hypothesis]) -> None:
    assert ranked(candidates) == ranked(candidates[::-1])


@given(candidates=HYPOTHESES)
def test_a_better_verdict_ranks_first(candidates: list[Hypothesis]) -> None:
    places = ["supported", "weak", "insufficient", "contradicted"]
    found = [places.index(h.verdict) for h in ranked(candidates)]
    assert found == sorted(found) and len(found) == len(candidates)


def test_then_the_role_then_the_seconds() -> None:
    trigger = hypothesis(Verdict.SUPPORTED, Role.TRIGGER, 1.0)
    long = hypothesis(Verdict.SUPPORTED, Role.SUSTAINER, 900.0)
    short = hypothesis(Verdict.SUPPORTED, Role.SUSTAINER, 9.0)
    assert ranked([short, long, trigger]) == (trigger, long, short)
