"""What is tested beside each source with real clients and servers: counted, not written again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
_SOURCES = "tests/sources/test_"
TESTS: Mapping[str, Sequence[str]] = {
    "stalls, and time that is over": (
        "http.py::test_a_stall_ends_with_the_sources_time",
        "datadog_failures.py::test_a_stall_is_given_up_and_asked_again",
        "datadog_failures.py::test_stalls_without_end_are_bounded",
        "prometheus.py::test_time_that_runs_out_keeps_what_came",
        "cloudwatch_metrics.py::test_time_that_is_over_keeps_what_came",
        "cloudwatch_logs_events.py::test_time_that_is_over_keeps_what_is_there",
        "s3_logs.py::test_time_that_is_over_keeps_what_came",
    ),
    "broken connections and bodies": (
        "http.py::test_a_broken_connection_is_tried_again",
        "datadog_failures.py::test_what_passes_leaves_the_answer_complete",
        "cloudwatch_metrics.py::test_a_fault_that_passes_costs_nothing",
        "cloudwatch_logs_events.py::test_what_passes_leaves_the_data_whole",
        "s3_logs.py::test_a_body_that_breaks_off_goes_on_where_it_broke",
        "s3_logs.py::test_a_body_that_always_breaks_off_is_told_and_the_others_stay",
    ),
    "throttling": (
        "http.py::test_being_told_to_wait_is_waited_out",
        "http.py::test_a_service_that_is_busy_for_ever_is_asked_four_times",
        "datadog_failures.py::test_throttling_is_waited_out_and_counted",
        "performance_insights.py::test_throttling_without_end_keeps_what_came_before",
        "s3_logs.py::test_slow_down_is_waited_out_and_counted",
    ),
    "garbage": (
        "http.py::test_what_is_no_json_is_said",
        "http.py::test_a_body_without_end_is_cut",
        "datadog_failures.py::test_what_stays_is_an_error_that_says_what_to_do",
        "prometheus.py::test_a_server_that_gives_nothing_is_an_error_with_a_hint",
        "cloudwatch_logs_events.py::test_a_service_that_gives_nothing_is_an_error_with_a_hint",
        "s3_logs.py::test_other_bytes_than_the_etag_names_are_not_kept",
    ),
    "answers that come late": (
        "cloudwatch_logs_events.py::test_the_young_end_is_read_again_for_events_that_came_in_late",
        "cloudwatch_metrics.py::test_the_last_minutes_are_not_counted_as_covered",
        "prometheus.py::test_scrapes_that_come_late_widen_the_window",
    ),
    "answers that change between pages": (
        "cloudwatch_logs_events.py::test_two_numbers_that_differ_are_both_told",
        "cloudwatch_logs_events.py::test_no_event_is_lost_or_doubled_at_a_seam",
        "cloudwatch_logs_events.py::test_a_token_that_never_gets_on_is_told_and_the_others_are_whole",
        "cloudwatch_metrics.py::test_a_token_that_repeats_ends_the_pages",
        "datadog.py::test_pages_that_break_off_are_kept_and_told",
        "datadog.py::test_a_cursor_that_comes_again_ends_the_pages",
        "s3_logs.py::test_an_object_that_was_replaced_is_told",
        "s3_logs.py::test_a_token_that_comes_again_ends_the_listing",
    ),
}


def counted(folder: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Each kind of fault with how many tests of it ran, and those that failed."""
    for number, (kind, names) in enumerate(TESTS.items()):
        told = folder / f"tested-{number}.xml"
        nodes = [f"{_SOURCES}{name}" for name in names]
        words = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={told}", *nodes]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
        cases = list(ElementTree.parse(told).getroot().iter("testcase"))
        failed = [str(case.get("name")) for case in cases if case.find("failure") is not None]
        if done.returncode and not failed:
            failed = [f"pytest ended with {done.returncode}"]
        yield kind, len(cases), failed
