"""report.html in a real browser: what a reader can do with it, and that nothing else happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from incident_rca import pipeline
from incident_rca.cli import app
from incident_rca.demo import prepare_demo
from incident_rca.model import Analysis, LaneName
from incident_rca.report.page.document import to_html
from tests.golden.running import run
from tests.report.incident import HOSTILE, hostile_from, reference
from tests.report.measured import series, sweep
from tests.report.page_reading import read

DESK, PHONE = (1360, 900), (400, 860)
SWEEP = ("--sweep", "--keep", "-q", "--jobs", "1", "--grid", "deadline=1s,5s,10s")
AXES = ("errorThresholdPercentage=25,75", "volumeThreshold=5", "resetTimeout=5s,30s")
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """INC-2847 with a small sweep, and its reports."""
    folder = prepare_demo(tmp_path_factory.mktemp("demo") / "INC-2847")
    pipeline.build_tables(folder)
    grids = [word for axis in (*AXES, "rollingCountTimeout=10s") for word in ("--grid", axis)]
    app(["whatif", str(folder), *SWEEP, *grids], standalone_mode=False)
    pipeline.write_reports(folder, pipeline.analyse_case(folder))
    return folder


@pytest.fixture(scope="module")
def analysis(case: Path) -> Analysis:
    return pipeline.analyse_case(case)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium runs without its sandbox only because the tests may run as root.
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(case: Path, browser: Browser) -> Iterator[Open]:
    """Opens a page; in the end nothing must have been complained of, asked for or popped up."""
    heard: list[str] = []
    contexts = []

    def open_page(
        path: Path = case / pipeline.REPORT_HTML,
        size: tuple[int, int] = DESK,
        scheme: str = "light",
    ) -> Page:
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: heard.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        address = path.resolve().as_uri()
        page.on("request", lambda r: heard.extend([r.url] if not known(r.url, address) else []))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


def known(url: str, address: str) -> bool:
    """Whether it is the page itself, or what the page made."""
    return url == address or url.startswith("blob:")


def middle(place: Locator, share: float = 0.5) -> tuple[float, float]:
    """A point of an element, by its share from the left."""
    box = place.bounding_box()
    assert box is not None
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def view_box(page: Page) -> list[float]:
    shown = page.locator("#chart-1 svg.scaled").first.get_attribute("viewBox")
    assert shown is not None
    return [float(number) for number in shown.split()]


# --- what it shows -------------------------------------------------------------------------------


def test_it_is_one_small_file_that_asks_for_nothing(case: Path, opened: Open) -> None:
    page = opened()
    expect(page.locator("h1")).to_have_text("Orders fail with 502")
    assert (case / pipeline.REPORT_HTML).stat().st_size < 2_000_000
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 2


def test_the_browser_builds_the_tree_that_stands_in_the_file(case: Path, browser: Browser) -> None:
    path = case / pipeline.REPORT_HTML
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    every = "Array.from(document.querySelectorAll('*'), (e) => e.tagName.toLowerCase())"
    written = [element.tag for element in read(path.read_text(encoding="utf-8")).every()]
    assert page.evaluate(every) == [tag for tag in written if tag]
    context.close()


def test_pointing_at_an_id_shows_its_rows_and_following_it_leads_there(opened: Open) -> None:
    page = opened()
    chip = page.locator("#causes .claims a.ev").first
    target = page.locator(f"[id='{(chip.get_attribute('href') or '')[1:]}']")
    chip.hover()
    where = target.locator(".where code").inner_text()
    expect(page.locator("#popover .where code")).to_have_text(where)
    page.keyboard.press("Escape")
    expect(page.locator("#popover")).to_be_hidden()
    chip.click()
    expect(target).to_be_in_viewport()


def test_a_term_is_explained_by_pointing_and_by_the_keyboard(opened: Open) -> None:
    page = opened()
    term = page.locator("a.term[href='#g-idle-in-transaction']")
    term.focus()
    expect(page.locator("#popover")).to_contain_text("a session that has begun a transaction")
    expect(term).to_have_attribute("aria-describedby", "popover")
    page.locator("h1").hover()
    page.locator("a.term[href='#g-trigger']").hover()
    expect(page.locator("#popover")).to_contain_text("what may have started the outage")


# --- the timeline --------------------------------------------------------------------------------


def test_pointing_at_the_timeline_tells_the_values_and_the_rows_of_that_time(
    opened: Open, analysis: Analysis
) -> None:
    page = opened()
    whole = analysis.series[0]
    plot = page.locator("#chart-1 .pool svg.scaled")
    plot.scroll_into_view_if_needed()
    page.mouse.move(*middle(plot, 0.5))
    step = whole.steps // 2
    (pool,) = whole.lane(LaneName.POOL).series
    (waiters, *_) = whole.lane(LaneName.LOCK_WAITERS).series
    assert (pool.values[step], waiters.values[step]) == (100.0, 0.0)
    expect(page.locator("#chart-1 .pool output")).to_have_text("100")
    expect(page.locator("#chart-1 .lock_waiters output").first).to_have_text("0")
    expect(page.locator(".readout [data-time]")).to_have_text(f"{whole.moment(step):%H:%M:%S} UTC")
    expect(page.locator(".readout [data-phase]")).to_have_text("phase: sustained")
    rows = page.locator(".readout [data-rows] > li")
    assert rows.count() == 6
    told = {e.digest: e for e in analysis.evidence}
    ids = {short: told[digest] for digest, short in analysis.evidence_ids.items()}
    for short in rows.locator("a.ev").all_inner_texts():
        span = ids[short].at
        assert span.lo and span.hi and span.lo <= whole.moment(step + 1)
        assert span.hi >= whole.moment(step - 1)


def test_dragging_zooms_and_the_keys_do_the_same(opened: Open) -> None:
    page = opened()
    plot = page.locator("#chart-1 .latency svg.scaled")
    plot.scroll_into_view_if_needed()
    start, end = middle(plot, 0.25), middle(plot, 0.35)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
    left, _, width, _ = view_box(page)
    assert left == pytest.approx(0.25 * 1350, abs=3) and width == pytest.approx(135, abs=4)
    ticks = page.locator("#chart-1 .tick:not(.off)").all_text_contents()
    assert 3 <= len(ticks) <= 9 and all(label and label.startswith("14:2") for label in ticks)
    page.locator("#chart-1 .plots").focus()
    page.keyboard.press("0")
    assert view_box(page) == [0, 0, 1350, 100]
    page.keyboard.press("Home")
    expect(page.locator(".readout [data-time]")).to_have_text("14:10:00 UTC")
    page.keyboard.press("End")
    expect(page.locator(".readout [data-time]")).to_have_text("14:54:58 UTC")
    page.keyboard.press("+")
    left, _, width, _ = view_box(page)
    assert width == 675 and left + width == pytest.approx(1350, abs=1)
    page.get_by_role("button", name="Outage").click()
    left, _, width, _ = view_box(page)
    assert left == pytest.approx(390.5, abs=1) and width == pytest.approx(1397 / 2, abs=2)


def test_a_rate_is_a_mean_from_afar_and_each_step_from_near(opened: Open) -> None:
    page = opened()
    fine = page.locator("#chart-1 .failures .is-fine").first
    coarse = page.locator("#chart-1 .failures .is-coarse").first
    expect(coarse).to_be_visible()
    expect(fine).to_be_hidden()
    page.get_by_role("button", name="propagation").click()
    expect(fine).to_be_visible()
    expect(coarse).to_be_hidden()


# --- tables and lists ----------------------------------------------------------------------------


def test_endpoints_and_error_types_sort_by_their_columns(opened: Open) -> None:
    page = opened()
    for table, column, index in (("endpoints", "Failed", 2), ("error-types", "Count", 2)):
        cells = page.locator(f"#{table} tbody tr").locator(f":nth-child({index + 1})")
        header = page.locator(f"#{table} th", has_text=column)
        header.locator("button").click()
        expect(header).to_have_attribute("aria-sort", "descending")
        down = [int(text.replace(",", "")) for text in numbers(page, table, index)]
        assert down == sorted(down, reverse=True) and len(set(down)) > 2
        header.locator("button").press("Enter")
        up = [int(text.replace(",", "")) for text in numbers(page, table, index)]
        assert up == sorted(down)
        assert cells.count() >= len(up)


def numbers(page: Page, table: str, column: int) -> list[str]:
    """The texts of a column, from the top."""
    found: list[str] = page.evaluate(
        "([id, n]) => Array.from(document.getElementById(id).tBodies[0].rows,"
        " (row) => row.cells[n].textContent.trim())",
        [table, column],
    )
    return found


def test_a_filter_leaves_what_was_asked_for_and_a_link_brings_back_the_rest(
    opened: Open,
) -> None:
    page = opened()
    filters = page.locator("[data-filters='evidence-list']")
    items = page.locator("#evidence-list > li")
    everything = items.count()
    filters.locator("[data-words]").fill("idle transaction")
    shown = page.locator("#evidence-list > li:visible")
    assert 0 < shown.count() < everything
    assert all("idle" in text and "transaction" in text for text in shown.all_inner_texts())
    filters.locator("[data-words]").fill("")
    filters.locator("[data-system]").select_option("gateway")
    assert all(text.startswith("G") for text in shown.all_inner_texts())
    expect(filters.locator("output")).to_have_text(f"{shown.count()} of {everything}")
    page.locator("#causes .claims a.ev.postgres").first.click()
    expect(items.locator("visible=true")).to_have_count(everything)


# --- the panel -----------------------------------------------------------------------------------


def slide(page: Page, name: str, place: int) -> None:
    slider = page.locator(".slider", has_text=name).locator("input")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(place):
        page.keyboard.press("ArrowRight")


def test_the_sliders_show_the_figures_and_the_export_of_their_setting(
    opened: Open, case: Path, analysis: Analysis, tmp_path: Path
) -> None:
    page = opened()
    slide(page, "deadline", 1)
    slide(page, "errorThresholdPercentage", 1)
    slide(page, "resetTimeout", 0)
    settings = {"deadline": "5s", "errorThresholdPercentage": "75", "resetTimeout": "5s"}
    outputs = page.locator(".slider output").all_inner_texts()
    assert set(settings.values()) <= set(outputs)
    assert analysis.sweep is not None
    (trial,) = [t for t in analysis.sweep.trials if settings.items() <= t.settings.items()]
    failed = page.locator(".panel-figures tr", has_text="requests that failed").locator("td").last
    expect(failed).to_have_text(f"{trial.left_running.failed:,}")
    page.get_by_label("is cancelled at the backend").check()
    expect(failed).to_have_text(f"{trial.cancelled.failed:,}")
    words = ["--set", "errorThresholdPercentage=75", "--set", "volumeThreshold=5"]
    words += ["--set", "resetTimeout=5s", "--set", "rollingCountTimeout=10s", "--deadline", "5s"]
    for wanted in ("opossum", "istio"):
        page.locator("[data-format]").select_option(wanted)
        done = run(case, "whatif", str(case), *words, "--export", wanted, cwd=tmp_path)
        expect(page.locator("[data-export]")).to_have_text(done.output, use_inner_text=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    assert download.value.suggested_filename == "breaker-istio.yaml"
    assert Path(download.value.path()).read_text(encoding="utf-8") == done.output
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-export-said]")).to_have_text("copied")
    assert page.evaluate("navigator.clipboard.readText()") == done.output


def test_a_point_of_the_plot_and_the_front_choose_their_setting(opened: Open) -> None:
    page = opened()
    slide(page, "deadline", 0)
    plot = page.locator("svg.trials")
    plot.scroll_into_view_if_needed()
    front = plot.locator(".front").first
    page.mouse.click(*middle(front))
    expect(page.locator("[data-front-said]")).to_contain_text("none beats it")
    chosen = plot.locator(".chosen")
    assert middle(chosen) == pytest.approx(middle(front), abs=1)


# --- ways to read it -----------------------------------------------------------------------------


def background(page: Page) -> int:
    """How light the page is, from 0 to 765."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour[4:-1].split(","))


def test_it_follows_the_system_and_the_button_overrules_it(opened: Open) -> None:
    page = opened(scheme="dark")
    assert background(page) < 120
    button = page.locator("#theme")
    button.click()
    expect(button).to_have_text("Theme: light")
    assert background(page) == 765
    button.click()
    assert background(page) < 120
    assert background(opened()) == 765


def test_on_a_phone_nothing_runs_out_of_the_screen(opened: Open) -> None:
    page = opened(size=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    page.locator("#chart-1 .pool svg.scaled").scroll_into_view_if_needed()
    page.mouse.move(*middle(page.locator("#chart-1 .pool svg.scaled"), 0.9))
    expect(page.locator(".readout [data-time]")).to_contain_text("14:50:")
    page.locator("#causes a.ev").last.hover()
    box = page.locator("#popover").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE[0]


def test_the_first_key_leads_past_the_bar(opened: Open) -> None:
    page = opened()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_in_print_everything_is_open_light_and_without_controls(opened: Open) -> None:
    page = opened(scheme="dark")
    closed = page.locator("#causes details:not([open]) .statement").first
    assert not closed.evaluate("e => e.checkVisibility({contentVisibilityAuto: true})")
    page.emulate_media(media="print")
    assert background(page) == 765
    assert closed.evaluate("e => e.checkVisibility({contentVisibilityAuto: true})")
    for hidden in (".toc", "#theme", ".filter", ".readout", ".chart-tools"):
        expect(page.locator(hidden).first).to_be_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF-")


def test_without_its_script_all_of_it_can_still_be_read(case: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((case / pipeline.REPORT_HTML).as_uri())
    expect(page.locator("#chart-1 .pool path.line").first).to_be_visible()
    expect(page.locator("#H1\\.1")).to_be_visible()
    expect(page.locator("noscript .notice")).to_be_visible()
    expect(page.locator(".chart-tools")).to_be_hidden()
    context.close()


# --- hostile text --------------------------------------------------------------------------------


def test_hostile_text_in_every_field_is_only_text(opened: Open, tmp_path: Path) -> None:
    harmless = replace(reference(), series=(series(),), sweep=sweep())
    attack = f"<img src=x onerror=alert(1)></script></style>\"'><svg onload=alert(2)>{HOSTILE}"
    path = tmp_path / "report.html"
    path.write_text(to_html(hostile_from(harmless, attack)), encoding="utf-8")
    page = opened(path)
    assert page.locator("img, iframe, object, form, base").count() == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 4
    page.locator("#causes .claims a.ev").first.hover()
    expect(page.locator("#popover")).to_contain_text("<img src=x onerror=alert(1)>")
    plot = page.locator("#chart-1 .pool svg.scaled")
    plot.scroll_into_view_if_needed()
    page.mouse.move(*middle(plot, 0.35))
    expect(page.locator(".readout [data-rows]")).to_contain_text("<img src=x")
    assert page.locator("#popover img, .readout img, #popover svg").count() == 0
