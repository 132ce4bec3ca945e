"""report.md of the demo: its order, its ids, its size, and what must never stand in it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import duckdb
import pytest
from rich.console import Console, RenderableType

from incident_rca.cli.explain import explain
from incident_rca.report import terminal, terminal_summary
from tests.cli.running import run
from tests.golden import raw
from tests.golden.raw import Json
from tests.golden.running import Demo, section, table_rows

# What each section is about, in the order of the facts (B2).
SECTIONS = (
    "summary",
    "impact",
    "source",
    "timeline",
    "answers",
    "detection",
    "trigger",
    "cascade",
    "hypotheses",
    "contributing",
    "recovery",
    "lessons",
    "action",
    "options",
    "failure modes",
    "open questions",
    "glossary",
    "appendix",
)
LINES_OF_A_SCREEN = 66
# Nobody sees the markers of the blocks nor the rules of the tables.
UNSEEN = re.compile(r"<!-- incident-rca:(begin|end) .*-->|[|: -]+")
REQUEST_ID = re.compile(r"(\d+): .*\brequest_id=(\S+)")
CLOCK = re.compile(r"(?:\d\d-\d\d )?\d\d:\d\d:\d\d")


def headings(markdown: str) -> list[str]:
    """The sections of a report."""
    return [line[3:].strip() for line in markdown.splitlines() if line.startswith("## ")]


def ids_in(text: str) -> set[str]:
    """What looks like evidence ids."""
    return set(re.findall(r"\b[LMGCS][0-9a-f]{4,}\b", text))


def known_ids(report: Json) -> set[str]:
    """The ids of all evidence."""
    return {e["id"] for e in report["evidence"]}


def test_sections_stand_in_the_order_of_the_facts(demo: Demo) -> None:
    found = headings(demo.markdown)
    assert len(found) == len(SECTIONS)
    for word, heading in zip(SECTIONS, found, strict=True):
        assert word in heading.casefold()
    assert demo.markdown.startswith("# ")
    assert demo.report["incident"]["title"] in demo.markdown.splitlines()[0]


def test_it_is_a_draft_that_nobody_has_reviewed(demo: Demo) -> None:
    top = demo.markdown.split("\n## ")[0]
    assert "Draft, generated, not reviewed" in top
    assert "reconstructed from the incident document, not recorded" in top


def test_every_time_is_utc(demo: Demo) -> None:
    assert "UTC" in demo.markdown.split("\n## ")[0]
    assert "UTC" in next(h for h in headings(demo.markdown) if h.startswith("Timeline"))
    assert not re.search(r"\d\d:\d\d(:\d\d)? ?([+-]\d\d:?\d\d|[AP]M\b|C?E[SD]?T\b)", demo.markdown)


def whole_timeline(demo: Demo) -> list[list[str]]:
    """The rows of the appendix's timeline."""
    appendix = section(demo.markdown, "Appendix")
    (part,) = [p for p in appendix.split("\n### ") if p.startswith("Whole timeline")]
    return table_rows(part)[1:]


def test_the_whole_timeline_tells_the_events_of_report_json(demo: Demo) -> None:
    rows, events = whole_timeline(demo), demo.report["timeline"]
    assert len(rows) == len(events)
    for row, event in zip(rows, events, strict=True):
        start = event["at"][0] or event["at"][1]
        assert start[11:19] in row[0], row
        cited = ids_in(row[-1])
        assert cited and cited <= set(event["evidence"]), row


def test_every_row_of_the_timeline_carries_evidence(demo: Demo) -> None:
    rows = [r for r in table_rows(section(demo.markdown, "Timeline")) if r[-1] != "Evidence"]
    assert len(rows) >= 15
    for row in rows:
        assert ids_in(row[-1]) and ids_in(row[-1]) <= known_ids(demo.report), row
    timed = [row for row in rows if CLOCK.match(row[0])]
    assert len(timed) >= 10
    assert {tuple(r) for r in timed} <= {tuple(r) for r in whole_timeline(demo)}


def test_every_claim_carries_its_evidence(demo: Demo) -> None:
    lines = section(demo.markdown, "Hypotheses").splitlines()
    told = {m[1]: line for line in lines if (m := re.match(r"- (H\d+\.\d+) ", line))}
    hypotheses = [h for h in demo.report["hypotheses"] if f"### {h['id']} " in demo.markdown]
    assert hypotheses
    claims = {c["id"]: c for h in hypotheses for c in h["claims"]}
    assert told.keys() == claims.keys()
    for number, line in told.items():
        cited = ids_in(line.rsplit("[", 1)[-1])
        assert cited and cited <= set(claims[number]["evidence"]), line


def test_every_hypothesis_stands_in_the_report(demo: Demo) -> None:
    text = section(demo.markdown, "Hypotheses")
    for hypothesis in demo.report["hypotheses"]:
        assert re.search(rf"\b{hypothesis['id']}\b", text)
        assert hypothesis["verdict"] in text


def test_every_id_in_the_text_is_explained_in_the_appendix(demo: Demo) -> None:
    without_example = demo.markdown.replace("G1a2b", "")
    digests = re.compile(r"\b[0-9a-f]{64}\b")
    assert ids_in(digests.sub("", without_example)) == known_ids(demo.report)
    appendix = section(demo.markdown, "Appendix")
    explained = {row[0] for row in table_rows(appendix) if row[0] in known_ids(demo.report)}
    assert explained == known_ids(demo.report)


def test_summary_to_timeline_fit_one_screen(demo: Demo) -> None:
    text = "".join(
        section(demo.markdown, name) for name in ("Summary", "Impact", "Data", "Timeline")
    )
    lines = [x for x in text.splitlines() if x.strip() and not UNSEEN.fullmatch(x)]
    assert 20 < len(lines) <= LINES_OF_A_SCREEN


def test_tables_have_at_most_five_columns(demo: Demo) -> None:
    rows = table_rows(demo.markdown)
    assert len(rows) > 60
    assert {len(row) for row in rows} <= {2, 3, 4, 5}


def test_rows_of_a_table_have_as_many_cells_as_its_head(demo: Demo) -> None:
    for block in re.split(r"\n\s*\n", demo.markdown):
        rows = table_rows(block)
        assert len({len(row) for row in rows}) <= 1, rows[:1]


def test_the_summary_tells_the_numbers_of_report_json(demo: Demo) -> None:
    summary = section(demo.markdown, "Summary")
    trigger, sustainer = demo.report["hypotheses"][:2]
    for hypothesis in (trigger, sustainer):
        assert hypothesis["id"] in summary
        assert f"{hypothesis['explains']['seconds']:,.0f} s" in summary
    assert "14:23:01" in summary and "14:46:18" in summary


# --- what must never leave raw/ ------------------------------------------------------------------


def rendered(*found: RenderableType) -> str:
    """What a very wide terminal shows."""
    out = io.StringIO()
    console = Console(file=out, width=10_000, highlight=False, markup=False)
    for one in found:
        console.print(one)
    return out.getvalue()


def explained(demo: Demo) -> str:
    """What `explain` shows of every hypothesis."""
    assert sum(len(evidence.excerpt) for evidence in demo.analysis.evidence) > 50
    return rendered(*(terminal.explanation(demo.analysis, h) for h in demo.analysis.hypotheses))


def explained_as_json(demo: Demo) -> str:
    """What `explain H1 --json` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        explain(demo.folder, "H1", as_json=True, quiet=True)
    return out.getvalue()


def cells(demo: Demo) -> str:
    """Every text in every table of the case."""
    found: list[str] = []
    with duckdb.connect() as session:
        for path in sorted((demo.folder / "tables").glob("*.parquet")):
            table = session.read_parquet(str(path)).project("COLUMNS(*)::VARCHAR")
            found += [value for row in table.fetchall() for value in row if value is not None]
    assert len(found) > 10_000
    return "\n".join(sorted(set(found)))


@pytest.fixture(scope="module")
def outputs(demo: Demo) -> dict[str, str]:
    """Everything that anybody but raw/ shows."""
    return {
        "report.md": demo.markdown,
        "report.json": json.dumps(demo.report, ensure_ascii=False),
        "summary": rendered(terminal_summary.summary(demo.analysis, {"Report": "report.md"})),
        "timeline": rendered(terminal.timeline(demo.analysis)),
        "charts": "".join(
            path.read_text(encoding="utf-8") for path in (demo.folder / "charts").glob("*.svg")
        ),
        "explain": explained(demo),
        "explain --json": explained_as_json(demo),
        "tables": cells(demo),
    }


def test_the_line_that_it_names_stops_the_migration_that_began_it(
    demo: Demo, files: Path, tmp_path: Path
) -> None:
    """The line is taken from the report, the migration from the server's log."""
    said = [row["message"] for row in raw.server_log(files) if row["pid"] == 48291]
    (migration,) = (m.partition(": ")[2] for m in said if m.startswith("statement: "))
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "V7.sql").write_text(f"{migration};\n", encoding="utf-8")
    table = {"schema": "public", "name": "stock_reservations", "kind": "table"}
    sizes = {"stats_schema": 1, "origin": "inventory", "as_of": "2026-01-15T12:00:00Z"}
    tables = [{**table, "rows": 4_200_000, "bytes": 700_000_000}]
    (tmp_path / "stats.json").write_text(json.dumps({**sizes, "tables": tables}))
    actions = section(demo.markdown, "Action")
    (line, rule), *others = re.findall(r"`(incident-rca lint [^`]*)`.*? rule ([\w-]+)\.", actions)
    assert others == []
    ran = run(tmp_path, *shlex.split(line)[1:], "--json")
    assert ran.code == 1
    high = [f["rule"] for f in json.loads(ran.out)["findings"] if f["severity"] == "high"]
    assert high == [rule] == ["index-without-concurrently"]


@pytest.mark.parametrize("what", ["e_mails", "addresses", "skus", "literals"])
def test_private_text_never_leaves_the_raw_files(
    what: str, files: Path, outputs: dict[str, str]
) -> None:
    found: set[str] = getattr(raw, what)(files)
    assert len(found) >= 3
    for name, text in outputs.items():
        leaked = sorted(secret for secret in found if secret in text)
        assert not leaked, f"{name} shows {leaked[:3]}"


def test_explain_shows_rows_of_the_raw_files(
    demo: Demo, requests: list[raw.Request], outputs: dict[str, str]
) -> None:
    told = json.loads(outputs["explain --json"])
    assert told["hypothesis"]["id"] == "H1"
    shown = {e["id"]: e["excerpt"] for e in told["evidence"] if e["rows"]}
    known = {e["id"]: e for e in demo.report["evidence"]}
    assert len(shown) >= 5 and all(shown.values())
    for name, rows in shown.items():
        first, last = known[name]["rows"]
        assert all(first <= int(row.partition(":")[0]) <= last for row in rows), rows
    by_line = {r.line: r.row["extendedRequestId"] for r in requests}
    named = [m for rows in shown.values() for r in rows if (m := REQUEST_ID.match(r))]
    assert named
    assert all(by_line[int(m[1])] == m[2] for m in named)
