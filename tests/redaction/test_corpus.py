"""Thousands of planted secrets: none may be left; and of what an analysis needs, all but 1 %."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from random import Random

import postgast
import pytest

from incident_rca.redact import redact_sql, redact_text
from tests.redaction import harmless, lines
from tests.redaction.filling import filled, left_of, name, secret

SEED, EACH = 20260115, 24
BOTH = [
    pytest.param(redact_text, lines.TEXTS, harmless.TEXTS, id="text"),
    pytest.param(redact_sql, lines.STATEMENTS, harmless.STATEMENTS, id="sql"),
]
Redact = Callable[[str], str]
PARAMETER = re.compile(r"\$[0-9]+")


def either(rng: Random, field: str) -> tuple[list[str], str]:
    """What a field takes, of a secret or of a name."""
    return name(rng, field) if field in ("relation", "route", "mode") else secret(rng, field)


def leaks(redact: Redact, templates: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each secret that is left, with its template and what became of the line."""
    return [
        (line.template, value, output)
        for line in filled(templates, secret, SEED, EACH)
        for output in (redact(line.text),)
        for value in line.drawn
        if left_of(value, output)
    ]


@pytest.mark.parametrize(("redact", "secret_lines", "_"), BOTH)
def test_no_planted_secret_is_left(
    redact: Redact, secret_lines: tuple[str, ...], _: object
) -> None:
    assert leaks(redact, secret_lines) == []


def test_the_corpus_has_its_size_and_shows_what_it_plants() -> None:
    planted = list(filled((*lines.TEXTS, *lines.STATEMENTS), secret, SEED, EACH))
    assert sum(len(line.drawn) for line in planted) >= 2000
    assert all(left_of(value, line.text) for line in planted for value in line.drawn)
    assert len(leaks(str, lines.TEXTS)) > 2000


# Of others the fingerprint takes some literals too: a role's password, a subscription's server.
COMPARED = ("SELECT", "INSERT", "UPDATE", "DELETE", "LOCK", "VACUUM", "CREATE INDEX", "ALTER TABLE")
# A sign is folded into its literal, and these names are personal data.
NOT_COMPARED = ("-{digits}", '"{email}"')


def test_of_a_statement_only_literals_are_taken() -> None:
    """PostgreSQL's own parser sees the same statement, whatever its literals say."""
    compared = set()
    for line in filled((*lines.STATEMENTS, *harmless.STATEMENTS), either, SEED, 5):
        is_other = not line.template.startswith(COMPARED)
        if is_other or any(part in line.template for part in NOT_COMPARED):
            continue
        try:
            before = postgast.fingerprint(line.text)
        except postgast.PgQueryError:
            continue  # It is cut, or followed by rows.
        # Where the grammar takes no parameter it takes a text or a number.
        after = PARAMETER.sub("'x'", redact_sql(line.text))
        assert postgast.fingerprint(after).hex == before.hex, line.text
        compared.add(line.template)
    assert len(compared) >= 15


@pytest.mark.parametrize(("redact", "_", "harmless_lines"), BOTH)
def test_names_modes_and_times_stay(
    redact: Redact, _: object, harmless_lines: tuple[str, ...]
) -> None:
    total, lost = 0, []
    for line in filled(harmless_lines, name, SEED, 100):
        output = redact(line.text)
        for value in line.drawn:
            total += 1
            lost += [(value, output)] if line.text.count(value) != output.count(value) else []
    assert total >= 900
    assert len(lost) < total / 100, lost[:20]
