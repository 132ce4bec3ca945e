"""What the demo's report tells beside the facts: answers, cascade, options, ways to fail, terms.

Numbers are counted again by plain loops over the raw files.
"""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.golden import raw
from tests.golden.raw import ORDERS, PAYMENTS, READS, Json, Request
from tests.golden.running import Demo, section, table_rows

IDS = re.compile(r"\[([^\[\]]*)\]$")


@pytest.fixture(scope="module")
def answers(demo: Demo) -> dict[str, str]:
    """The text under each question."""
    parts = re.split(
        r"^\*\*(.*\?)\*\*$", section(demo.markdown, "Questions and answers"), flags=re.M
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def told(demo: Demo, name: str) -> list[str]:
    """The bullets of a section."""
    return [x.strip() for x in section(demo.markdown, name).splitlines() if x.lstrip()[:2] == "- "]


@pytest.mark.parametrize("name", ["Questions and answers", "The cascade", "Options compared"])
def test_each_sentence_cites_or_says_that_nothing_is_recorded(demo: Demo, name: str) -> None:
    known = {e["id"] for e in demo.report["evidence"]}
    lines = told(demo, name)
    assert len(lines) > 8
    for line in lines:
        if line.startswith("- Not recorded: "):
            continue
        found = IDS.search(line)
        assert found, line
        cited = {word for word in re.split(r"[ ,]+", found[1]) if not word.startswith("+")}
        assert cited and cited <= known, line


def test_how_many_failed(
    answers: dict[str, str], requests: list[Request], outage: list[Request]
) -> None:
    text = answers["How many requests failed?"]
    inside = [r for r in requests if outage[0].at <= r.at <= outage[-1].at]
    assert f"- {len(outage):,} of {len(inside):,} requests in the outage (" in text
    for name in (ORDERS, READS):
        of_route = [r for r in inside if r.name == name]
        failed = [r for r in of_route if r.status >= 500]
        statuses = ", ".join(str(s) for s in sorted({r.status for r in failed}))
        assert f"- `{name}`: {len(failed):,} of {len(of_route):,}, with HTTP {statuses}." in text
    assert text.count("\n- ") == 3


def test_it_is_over(
    answers: dict[str, str], requests: list[Request], outage: list[Request]
) -> None:
    quiet = round((max(r.at for r in requests) - outage[-1].at).total_seconds())
    assert not [r for r in requests if r.at > outage[-1].at and r.status >= 500]
    text = answers["Is it over?"]
    assert f"Yes: the last failing request arrived at {outage[-1].at:%H:%M:%S} UTC" in text
    minutes, seconds = divmod(quiet, 60)
    assert f"nothing has failed in the {minutes}m{seconds}s since" in text


def test_what_followed_the_orders(
    answers: dict[str, str], demo: Demo, requests: list[Request], outage: list[Request]
) -> None:
    text = answers["Was something done in part, or charged, though the request failed?"]
    charged = [r for r in requests if r.name == PAYMENTS and outage[0].at <= r.at <= outage[-1].at]
    assert not charged
    assert f"- `{PAYMENTS}`, which follows the success of `{ORDERS}`: no request was logged" in text
    ended = [row for row in raw.server_log(demo.raw) if row.get("state_code") == "57P01"]
    assert f"{len(ended)} sessions are terminated" in text and len(ended) == 100
    assert "- Not recorded: what the requests that failed had written before" in text


def test_only_reads_are_called_safe_to_try_again(answers: dict[str, str]) -> None:
    text = answers["Is it safe to try again?"]
    assert f"- `{READS}`: yes by the rules of HTTP" in text
    assert f"- Not recorded: whether {ORDERS} may be" in text
    assert f"`{ORDERS}`: yes" not in text


def test_the_steps_go_from_the_lock_to_its_end(demo: Demo) -> None:
    text = section(demo.markdown, "The cascade")
    leads = re.findall(r"^\d+\. \*\*(.*)\*\*$", text, re.M)
    assert len(leads) == 6
    order = ["takes SHARE", "H1.1", "begin to hang", "100 of 100", "first failing", "is released"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    coincident = ("warehouse_shipments", "search-service")
    assert not [word for word in coincident if word in text]


def test_what_sustained_it_is_what_explains_the_rest(demo: Demo) -> None:
    text = section(demo.markdown, "The cascade").split("### What sustained it")[1]
    sustainer = next(h for h in demo.report["hypotheses"] if h["role"] == "sustainer")
    seconds = demo.report["outage"]["duration_seconds"] - 240
    assert f"{sustainer['id']} explains {seconds:,} s" in text
    assert "100 sessions of inventory-service are idle in transaction" in text


def test_reads_are_nothing_for_a_queue(demo: Demo, outage: list[Request]) -> None:
    text = section(demo.markdown, "Options compared")
    parts = dict(zip(*[iter(re.split(r"^### (.*)$", text, flags=re.M)[1:])] * 2, strict=True))
    queue = parts["Asynchronous queue"]
    reads = [r for r in outage if r.name == READS]
    writes = [r for r in outage if r.name == ORDERS]
    assert f"- Its limits: {len(reads):,} failing requests of `{READS}` are reads" in queue
    assert f"- For it: {len(writes):,} failing requests of `{ORDERS}` may be work" in queue
    waited = (outage[-1].at - outage[0].at) // timedelta(seconds=1)
    assert f"the first would have waited {waited // 60}m{waited % 60}s" in queue
    assert "No circuit breaker acted" in parts["Circuit breaker with a deadline"]
    for name in ("Circuit breaker with a deadline", "Asynchronous queue", "Service mesh"):
        assert "H1" in parts[name] and "- Not recorded: " in parts[name]
    (projected,) = [name for name in parts if name.startswith("Response time")]
    assert "Not computed: this case keeps no what-if" in parts[projected]


def test_each_judged_kind_is_a_way_to_fail_and_none_has_two_rows(demo: Demo) -> None:
    rows = table_rows(section(demo.markdown, "Failure modes"))[1:]
    by_id: dict[str, Json] = {h["id"]: h for h in demo.report["hypotheses"]}
    judged = [(row, by_id[m[1]]) for row in rows if (m := re.match(r"(H\d+): ", row[2]))]
    kinds = [h["kind"] for _, h in judged]
    assert sorted(kinds) == sorted({h["kind"] for h in by_id.values() if h["kind"] != "unknown"})
    for row, hypothesis in judged:
        is_part = hypothesis["verdict"] in ("supported", "weak")
        assert row[1].startswith(("yes", "perhaps")) is is_part, row
        assert hypothesis["rank"] == min(
            h["rank"] for h in by_id.values() if h["kind"] == hypothesis["kind"]
        )


def test_the_glossary_has_what_the_report_uses_and_nothing_else(demo: Demo) -> None:
    glossary = section(demo.markdown, "Glossary")
    terms = re.findall(r"^- \*\*(.*?)\*\*: ", glossary, re.M)
    rest = demo.markdown.replace(glossary, "")
    assert len(terms) > 15 and len(set(terms)) == len(terms)
    assert [term for term in terms if term not in rest] == []
    assert {"SHARE", "ROW EXCLUSIVE", "57P01", "UNAVAILABLE", "idle in transaction"} <= set(terms)
    # The lock mode stands in no row of this case.
    assert "SHARE UPDATE EXCLUSIVE" not in terms and "ROW SHARE" not in terms
