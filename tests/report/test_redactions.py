"""The count of what a report hides, and that it says kinds and never a value."""

from __future__ import annotations

from incident_rca.report.redactions import Redaction, in_contract, in_words, redactions

CONTRACT = {
    "evidence": [
        {"seen": "<ip-1> called <ip-2> as <email-1>", "file": "raw/<ip-1>.log"},
        {"seen": "SELECT * FROM t WHERE a = $1 AND b = $2"},
    ],
    "sources": [{"reason": "<ip> refused", "query": "SELECT $1, '<secret-1>'"}],
    "count": 3,
    "note": None,
}


def test_values_and_places_are_counted_by_kind() -> None:
    assert set(redactions(CONTRACT)) == {
        Redaction("ip", 2, 4),
        Redaction("email", 1, 1),
        Redaction("secret", 1, 1),
        Redaction("literal", None, 2),
    }


def test_the_sentence_has_the_counts() -> None:
    words = in_words({"redactions": in_contract(redactions(CONTRACT))})
    assert "2 IP addresses (<ip-1>)" in words and "1 e-mail address (<email-1>)" in words
    assert "literals of statements ($1)" in words and "card" not in words


def test_a_report_that_hides_nothing_says_so() -> None:
    plain = {"seen": "pid 7 at 10:00:00 -> x<y-1>z <other-1>", "price": "$12.50.1 US$100000"}
    assert redactions({"seen": plain["seen"]}) == ()
    assert in_words({"redactions": []}) == "Nothing that this report shows had to be hidden."
