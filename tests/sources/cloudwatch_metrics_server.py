"""A local server that answers as CloudWatch's GetMetricData and API Gateway's GetRestApi do.

It holds single samples and works out each period's statistic from them, and speaks AWS JSON 1.0, in
which times are seconds since 1970.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.sources.local_server import LocalHandler, serving

TARGET = "GraniteServiceVersion20100801.GetMetricData"
JSON = "application/x-amz-json-1.0"


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one: an error, a page of HTML or a connection that breaks."""

    code: str = ""
    status: int = 400
    html: bool = False
    breaks: bool = False


@dataclass
class CloudWatch:
    """What the service holds: samples by metric, as (second, value), of one stage.

    `page_points` is how many points go on a page; `faults` are taken one by one, by the calls of
    GetMetricData; `statuses` say of a metric what its next results are, `refused` of API Gateway.
    """

    url: str = ""
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)
    api_names: dict[str, str] = field(default_factory=dict)
    page_points: int = 1000
    repeats_token: bool = False
    faults: list[Fault | None] = field(default_factory=list)
    statuses: dict[str, list[str]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def clear(self) -> None:
        fresh = CloudWatch(url=self.url)
        for name in fresh.__dataclass_fields__:
            setattr(self, name, getattr(fresh, name))

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A page: the results of the queries one after the other, cut where the page is full."""
        results = []
        left, skip = self.page_points, int(request.get("NextToken", "0"))
        more = False
        done = skip
        for query in request["MetricDataQueries"]:
            points = self._points(query["MetricStat"], request)
            before, skip = min(skip, len(points)), max(0, skip - len(points))
            if before == len(points) and points:
                continue
            part = points[before : before + left]
            left -= len(part)
            done += len(part)
            whole = before + len(part) == len(points)
            more = more or not whole
            metric = query["MetricStat"]["Metric"]["MetricName"]
            planned = self.statuses.get(metric, [])
            status = planned.pop(0) if planned else "Complete" if whole else "PartialData"
            if status in ("InternalError", "Forbidden"):
                part = []
            results.append(
                {
                    "Id": query["Id"],
                    "Label": metric,
                    "Timestamps": [at for at, _ in part],
                    "Values": [value for _, value in part],
                    "StatusCode": status,
                }
            )
            if more:
                break
        token = {"NextToken": "1" if self.repeats_token else str(done)} if more else {}
        return {"MetricDataResults": results, "Messages": []} | token

    def _points(
        self, asked: Mapping[str, Any], request: Mapping[str, Any]
    ) -> list[tuple[float, float]]:
        metric, period = asked["Metric"], asked["Period"]
        named = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
        name = metric["MetricName"]
        if metric["Namespace"] != "AWS/ApiGateway" or named != dict(self.dimensions):
            return []
        if asked.get("Unit", self.units.get(name)) != self.units.get(name):
            return []
        periods: dict[float, list[float]] = {}
        for at, value in self.samples.get(name, []):
            if request["StartTime"] <= at < request["EndTime"]:
                periods.setdefault(at // period * period, []).append(value)
        return [(at, _statistic(asked["Stat"], values)) for at, values in sorted(periods.items())]


def _statistic(name: str, values: list[float]) -> float:
    if name == "Sum":
        return sum(values)
    if not name.startswith("p"):
        raise ValueError(name)
    rank = math.ceil(float(name[1:]) / 100 * len(values))
    return sorted(values)[max(1, rank) - 1]


@contextmanager
def running_cloudwatch() -> Iterator[CloudWatch]:
    """The service on a free port of this machine."""
    service = CloudWatch()

    class Handler(LocalHandler):
        def do_GET(self) -> None:
            service.paths.append(self.path)
            name = service.api_names.get(self.path.rpartition("/")[2])
            if name is None:
                self.reply(404, "application/json", b'{"message": "Invalid API identifier"}')
            else:
                body = json.dumps({"id": self.path.rpartition("/")[2], "name": name}).encode()
                self.reply(200, "application/json", body)

        def do_POST(self) -> None:
            service.paths.append(self.headers["X-Amz-Target"])
            request = json.loads(self.body())
            service.asked.append(request)
            fault = service.faults.pop(0) if service.faults else None
            if fault is None:
                self.reply(200, JSON, json.dumps(service.answer(request)).encode())
            elif fault.breaks:
                self.close_connection = True
            elif fault.html:
                self.reply(fault.status, "text/html", b"<html><body>Sign in</body></html>")
            else:
                error = {"__type": f"com.amazonaws.cloudwatch#{fault.code}", "message": "no"}
                self.reply(fault.status, JSON, json.dumps(error).encode())

    with serving(Handler) as service.url:
        yield service
