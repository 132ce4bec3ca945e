"""What a terminal shows that has no Unicode."""

from __future__ import annotations

import pytest

from incident_rca.cli.plain_signs import ERRORS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("14:23:00–01 → ≥ 5 ± 2", b"14:23:00-01 -> >= 5 +/- 2"),
        ("it’s 3 × 4 …", b"it's 3 x 4 ..."),
        ("漢字 é", b"?? ?"),
        ("plain", b"plain"),
    ],
)
def test_signs_keep_their_meaning_in_ascii(text: str, shown: bytes) -> None:
    assert text.encode("ascii", ERRORS) == shown


def test_an_encoding_that_has_the_sign_keeps_it() -> None:
    assert "×–é".encode("latin-1", ERRORS) == b"\xd7-\xe9"


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", ERRORS)
