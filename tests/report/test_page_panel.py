"""The panel of settings: each place in its tables against the figures and exports it stands for."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from incident_rca.model import Analysis, WhatIf
from incident_rca.report.page.document import to_html
from incident_rca.report.what_if import rows
from incident_rca.whatif.exports import FORMATS
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.protection import Protection
from tests.report.measured import AXES, sweep
from tests.report.page_reading import Element, by_id, data_of, read


@pytest.fixture(scope="module")
def actions(analysis: Analysis) -> Element:
    return by_id(read(to_html(replace(analysis, sweep=sweep()))))["actions"]


SECONDS = {"1s": 1000, "5s": 5000, "30s": 30_000}


def protections() -> list[Protection]:
    """What each trial tried, written out."""
    return [
        Protection(
            breaker=OpossumOptions(
                error_threshold_percentage=float(threshold), reset_timeout_ms=SECONDS[reset]
            ),
            deadline_ms=SECONDS[deadline],
        )
        for deadline, threshold, reset in product(*(axis.values for axis in AXES))
    ]


def test_each_export_is_that_of_its_setting(actions: Element) -> None:
    exports = data_of(actions.all("div", "panel")[0])["exports"]
    assert list(FORMATS) == [o.attributes["value"] for o in actions.all("option")]
    for name, export in FORMATS.items():
        packed = exports[name]
        for way, cancels in (("cancelled", True), ("left_running", False)):
            for place, tried in enumerate(protections()):
                lines = [packed["lines"][n] for n in packed["texts"][packed[way][place]]]
                assert "\n".join(lines) == export(replace(tried, cancels=cancels), "inventory")


def replayed(place: int) -> WhatIf:
    """A trial of the sweep as a what-if of its own."""
    swept = sweep()
    return WhatIf(
        pool=swept.pool,
        pool_size=swept.pool_size,
        step_seconds=1.0,
        breaker=swept.breaker,
        basis=swept.basis,
        protection={},
        settings="deadline 1s",
        recorded=swept.recorded,
        unprotected=swept.unprotected,
        cancelled=swept.trials[place].cancelled,
        left_running=swept.trials[place].left_running,
        fit=swept.fit,
        premises=swept.premises,
    )


def test_each_figure_is_worded_as_whatif_words_it(actions: Element) -> None:
    data = data_of(actions.all("div", "panel")[0])
    (table,) = actions.all("div", "panel-figures")[0].all("tbody")
    shown = [[cell.text for cell in row.all("th") + row.all("td")] for row in table.all("tr")]
    swept = sweep()
    for place in range(len(swept.trials)):
        worded = {row.name: row for row in rows(replayed(place))}
        for (name, recorded, unprotected, _), packed in zip(shown, data["rows"], strict=True):
            row = worded[name]
            assert (recorded, unprotected) == (row.recorded, row.unprotected)
            told = [packed["values"][packed[way][place]] for way in ("cancelled", "left_running")]
            assert told == [row.cancelled, row.left_running]


def test_each_curve_and_each_point_is_that_of_its_setting(actions: Element) -> None:
    data = data_of(actions.all("div", "panel")[0])
    held = data["held"]
    swept = sweep()
    for way in ("cancelled", "left_running"):
        figures = [getattr(trial, way) for trial in swept.trials]
        assert [tuple(held["values"][n]) for n in held[way]] == [f.held_by_step for f in figures]
        assert data["failed"][way] == [f.failed for f in figures]
        assert data["refused"][way] == [f.refused_healthy for f in figures]
    assert tuple(held["values"][held["recorded"]]) == swept.recorded.held_by_step
    assert data["front"] == {"cancelled": list(range(12)), "left_running": [3, 5]}
    assert data["start"] == 3


def test_a_measure_that_some_settings_lack_counts_nothing_there(analysis: Analysis) -> None:
    swept = sweep()
    plain = replace(swept.trials[0], cancelled=swept.recorded, left_running=swept.recorded)
    mixed = replace(swept, trials=(plain, *swept.trials[1:]))
    found = by_id(read(to_html(replace(analysis, sweep=mixed))))["actions"]
    data = data_of(found.all("div", "panel")[0])
    names = [row.all("th")[0].text for row in found.all("tbody")[-1].all("tr")]
    refused = data["rows"][names.index("… refused by the breaker")]
    assert refused["values"][refused["cancelled"][0]] == "0"
    assert refused["values"][refused["cancelled"][1]] == "91"


def test_a_replay_says_that_it_is_a_model_and_what_speaks_against_it(
    analysis: Analysis, actions: Element
) -> None:
    one = by_id(read(to_html(replace(analysis, what_if=replayed(0)))))["actions"]
    for shown in (actions, one):
        assert "model, not evidence" in shown.text
        assert "fails 1,540 of the 1,557 requests that failed, and 10 others" in shown.text
        (doubt,) = shown.all("div", "notice")
        assert "Do not rely on it for this incident:" in doubt.text
        assert "a pool that is not recorded." in doubt.text
        assert "The callers keep their rate. assumed" in shown.text


def test_a_case_without_a_sweep_says_how_to_get_one(analysis: Analysis) -> None:
    actions = by_id(read(to_html(analysis)))["actions"]
    assert actions.all("div", "panel") == []
    assert "incident-rca whatif CASE --sweep --keep" in actions.text
