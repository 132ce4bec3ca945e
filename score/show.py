"""One tuning case for the eye: what happened, what was seen, and what was said.

Usage: python score/show.py SEED
Odd seeds are held out: they are counted by `make score`, never looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # when run as a script
from score.cases import Told, told
from score.judge import judged, matched_onsets


def main(words: list[str]) -> int:
    """Prints the case of a seed."""
    if len(words) != 1 or not words[0].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    if int(words[0]) % 2:
        print(f"seed {words[0]} is held out: it is counted, and not looked at", file=sys.stderr)
        return 2
    for line in lines_of(told(int(words[0]))):
        print(line)
    return 0


def lines_of(case: Told) -> list[str]:
    """The plan, the truth, the onsets and each hypothesis with its claims."""
    plan, truth, analysis = case.plan, case.truth, case.analysis
    lines = [f"seed {plan.seed}: {plan.kind}", f"  {plan.observation}", f"  {plan.world.behaviour}"]
    lines += [f"  did: {cause}" for cause in plan.causes]
    lines += [f"  true: {incident}" for incident in truth.incidents]
    lines += [
        f"  onset: {onset} -> {span}" for onset, span in matched_onsets(plan, truth, analysis)
    ]
    lines.append(f"  judged: {judged(plan, truth, analysis)}")
    for h in analysis.hypotheses:
        what = f"{h.kind} {h.object}: {h.role}, {h.verdict}, {h.explains_seconds:.0f} s"
        lines.append(f"{h.id} of incident {h.incident}: {what}")
        lines += [f"    {c.stance} {c.aspect} ({c.basis}): {c.text}" for c in h.claims]
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
