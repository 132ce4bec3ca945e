"""A few fixed seeds, one of each scene: nothing is wrongly blamed, no quiet window says anything.

They are of the tuning half; `make score` plays 500.
"""

from __future__ import annotations

import pytest

from score.cases import scored
from score.plans import SCENES, plan_of
from score.truth import Expected

# The deadlock storm is left to `make score`: its hundreds of lock episodes take their time.
KINDS = [kind for kind in SCENES if kind != "deadlock storm"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wrongly_blamed(kind: str) -> None:
    seed = 2 * list(SCENES).index(kind)
    assert plan_of(seed).kind == kind
    judged = scored(seed).judged
    assert not any(n.is_wrong for n in judged.named)
    assert not judged.supports_in_quiet
    if kind.startswith("quiet"):
        assert [n.expected for n in judged.named] == [None]
    for named in judged.named:
        if named.expected is Expected.ABSTAIN:
            assert named.abstains


def test_a_seed_is_the_same_case_each_time_and_another_one_another() -> None:
    assert plan_of(6) == plan_of(6)
    assert plan_of(6).causes != plan_of(46).causes
    assert scored(16) == scored(16)


def test_both_halves_have_the_same_mix_of_scenes() -> None:
    kinds = [plan_of(seed).kind for seed in range(2 * len(SCENES))]
    assert kinds[::2] == kinds[1::2] == list(SCENES)
