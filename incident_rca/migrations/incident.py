"""Which rule would have stopped a statement that blocked others in an incident."""

from __future__ import annotations

from collections.abc import Sequence

from incident_rca.migrations.lint import lint_text

CI_LINE = "incident-rca lint migrations/ --stats stats.json"


def rules_broken(statement: str, mode: str) -> tuple[str, ...]:
    """The rules that a statement breaks by taking a lock of this mode.

    A statement that was cut, or that is no migration, breaks none. Its literals may be gone: `$1`
    stands for any value in the grammar.
    """
    findings = lint_text(statement).findings
    return tuple(dict.fromkeys(f.rule for f in findings if f.lock_mode == mode))


# About the wait for a lock; all other rules are about what is done while it is held.
OF_WAITING = "no-lock-timeout"


def held_too_long(rules: Sequence[str]) -> tuple[str, ...]:
    """The rules that are about what is done under a lock, not about waiting for it."""
    return tuple(rule for rule in rules if rule != OF_WAITING)


def in_ci(rules: Sequence[str]) -> str:
    """What to put into CI so that a statement that breaks these rules is refused.

    >>> in_ci(["lock-table"])
    'In CI, `incident-rca lint migrations/ --stats stats.json` refuses it by its rule lock-table.'
    """
    if not rules:
        return ""
    named = f"its rule {rules[0]}" if len(rules) == 1 else f"its rules {', '.join(rules)}"
    return f"In CI, `{CI_LINE}` refuses it by {named}."
