"""A load balancer's log by Athena: its folders of days, its cost, and its rows beside DuckDB's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from incident_rca.errors import BadInput, BadSettings
from incident_rca.model import TimeWindow
from incident_rca.rollup import Asked
from incident_rca.rollup.log_format import LoadBalancerFormat
from tests.formats.builders import START
from tests.formats.load_balancer_lines import Line
from tests.rollup.athena_server import Service
from tests.rollup.balancer_logs import LOGS
from tests.rollup.test_athena import over, put, rows_of, truth

REGION = "AWSLogs/123456789012/elasticloadbalancing/eu-west-1/"
PLACE = f"s3://logs/{REGION}"
WINDOW = TimeWindow(START, START + timedelta(minutes=30))
ASKED = Asked(window=WINDOW)
LINES = [
    str(Line(second=n * 7, elb_status=status, target_status=status))
    for n, status in enumerate(["200", "502", "404"] * 40)
]


def delivered(service: Service, ended: datetime, lines: list[str]) -> int:
    """Puts a file there as a load balancer names it: by the end of its five minutes."""
    name = f"123456789012_elasticloadbalancing_eu-west-1_app.shop.50dc6c49_{ended:%Y%m%dT%H%M}Z"
    key = f"{REGION}{ended:%Y/%m/%d}/{name}_203.0.113.5_{len(service.bucket.objects):08x}.log.gz"
    return put(service, key, lines)


def in_files(service: Service, lines: list[str] = LINES) -> int:
    """The lines of a day in three files, beside other days and the file of ELB's own test."""
    size = sum(delivered(service, START + timedelta(minutes=5 * n), lines[n::3]) for n in range(3))
    delivered(service, START - timedelta(days=1), lines)
    delivered(service, START + timedelta(days=1), lines)
    service.bucket.put(
        "AWSLogs/123456789012/ELBAccessLogTestFile", b"Enable AccessLog for ELB", START
    )
    return size


def test_the_days_of_the_window_are_read_and_their_sizes_said_before(service: Service) -> None:
    size = in_files(service)
    with over(service, PLACE) as athena:
        plan = athena.plan(ASKED)
        answer = athena.run(ASKED, plan)
        rows = list(answer.rows)
    assert isinstance(plan.line_format, LoadBalancerFormat)
    assert plan.bytes == answer.said["bytes_scanned"] == size
    assert sum(row[-1] for row in rows) == len(LINES)
    table, statement = plan.statements
    ddl = sqlglot.parse_one(table, read="athena")
    assert isinstance(ddl, exp.Create)
    (location,) = ddl.find_all(exp.LocationProperty)
    assert location.this.name == PLACE
    assert "'projection.stretch.format' = 'yyyy/MM/dd'" in table
    assert "'projection.stretch.interval.unit' = 'DAYS'" in table
    assert f"'storage.location.template' = '{PLACE}${{stretch}}/'" in table
    assert "WHERE stretch BETWEEN '2026/01/15' AND '2026/01/15'" in statement


@pytest.mark.parametrize("name", LOGS)
def test_the_rows_are_those_of_duckdb(name: str, service: Service, tmp_path: Path) -> None:
    lines = [
        line.decode("utf-8", "replace") if isinstance(line, bytes) else line for line in LOGS[name]
    ]
    in_files(service, lines)
    service.page_rows = 97
    window = TimeWindow(START.replace(hour=1), START.replace(hour=22))
    asked = Asked(window=window)
    with over(service, PLACE) as athena:
        found = rows_of(athena, asked)
    assert found == truth(tmp_path, lines, asked)


def test_what_is_delivered_after_midnight_is_counted(service: Service, tmp_path: Path) -> None:
    """A request of 23:59 stands in a file of 00:00, which is filed under the next day."""
    midnight = START.replace(hour=0, minute=0) + timedelta(days=1)
    until = (midnight - START).total_seconds()
    late = [str(Line(second=until - n)) for n in (90, 60, 30)]
    delivered(service, midnight, late)
    delivered(service, midnight - timedelta(minutes=5), [str(Line(second=until - 400))])
    asked = Asked(window=TimeWindow(midnight - timedelta(minutes=2), midnight))
    with over(service, PLACE) as athena:
        found = rows_of(athena, asked)
    assert sum(row[-1] for row in found) == 3 and found == truth(tmp_path, late, asked)


def test_a_request_counts_by_when_it_arrived(service: Service) -> None:
    lines = [
        str(Line(second=-1.0, took=("0.001", "60.0", "0.0"))),
        str(Line(second=1799.0, took=("0.001", "60.0", "0.0"))),
        str(Line(second=1800.0)),
    ]
    delivered(service, START + timedelta(minutes=35), lines)
    with over(service, PLACE) as athena:
        (row,) = rows_of(athena, ASKED)
    assert row[:2] == ("request", int(START.timestamp()) + 1799)


def test_a_workgroup_that_would_cancel_it(service: Service) -> None:
    service.workgroup["BytesScannedCutoffPerQuery"] = in_files(service) - 1
    with over(service, PLACE) as athena, pytest.raises(BadSettings):
        athena.plan(ASKED)


def test_days_without_a_request(service: Service) -> None:
    delivered(service, START, ["nothing", "in particular"])
    with over(service, PLACE) as athena, pytest.raises(BadInput):
        athena.plan(ASKED)
