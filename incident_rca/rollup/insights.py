"""The rollup of a stage's log group, by CloudWatch Logs Insights: no set-up, and no files.

It asks what `collect` asks (sources/cloudwatch_logs.py): counts by second, and latencies in bins of
ten seconds or more, whose rows are few enough for its pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from incident_rca.errors import BadInput, BadWindow
from incident_rca.formats.insights_answer import cells_of
from incident_rca.formats.logs_insights import BY_EVENT
from incident_rca.formats.logs_insights_rows import bucket_of, count_of, key_of, value_of
from incident_rca.model import TimeWindow
from incident_rca.model.services import AwsAccount, GatewayStage
from incident_rca.rollup import LATENCY, REQUEST, UNREAD, Answer, Asked, Plan, Row, seconds_of
from incident_rca.sources import cloudwatch_logs
from incident_rca.sources.answers import Absent
from incident_rca.sources.log_collection import KnownStage, Shared, known_stage
from incident_rca.sources.tally import Tally

# The list price in most regions, for a gigabyte that a query scans.
USD_PER_GIGABYTE = 0.005
_FACTS = (
    "response_type",
    "integration_status",
    "backend_status",
    "error_text",
    "authorizer_error",
    "waf",
)


@dataclass(frozen=True, slots=True)
class Insights:
    """One stage of an account."""

    account: AwsAccount
    stage: GatewayStage
    tally: Tally
    shared: Shared = field(default_factory=Shared)
    name: str = "insights"

    @property
    def places(self) -> tuple[str, ...]:
        return (self.stage.text,)

    def plan(self, asked: Asked) -> Plan:
        window, known = _window(asked), self._known()
        missing = known.queries.missing.get("counts")
        if missing:
            raise BadInput(f"{self.stage.text}: {missing}", hint="add it to the log format")
        first, end = seconds_of(window)
        texts = (known.queries.over(role, window.seconds)[0] for role in _roles(known))
        return Plan(
            statements=tuple(
                text.replace("{start}", str(first)).replace("{end}", str(end)) for text in texts
            ),
            line_format=known.line_format,
            bytes=None,
            usd=None,
            basis=f"${USD_PER_GIGABYTE:g} for each GB of the log group that a query scans",
        )

    def run(self, asked: Asked, plan: Plan) -> Answer:
        said: dict[str, Any] = {"bytes_scanned": 0.0}
        return Answer(self._rows(_window(asked), said), said)

    def _rows(self, window: TimeWindow, said: dict[str, Any]) -> Iterator[Row]:
        known = self._known()
        if not known.queries.is_by_arrival:
            said["lacks"] = [BY_EVENT]
        errors = []
        for role in _roles(known):
            ask = {"counts": cloudwatch_logs.counts, "latency": cloudwatch_logs.latency}[role]
            answer = ask(self.shared, self.account, self.stage, window, tally=self.tally)
            if isinstance(answer, Absent):
                raise BadInput(answer.reason, hint=answer.hint)
            response = answer["response"]
            said["bytes_scanned"] += response["statistics"].get("bytesScanned", 0.0)
            if "error" in response:
                errors.append(f"{role}: {response['error']['message']}")
            if response["provisional"] and role == "counts":
                errors.append("provisional: the log may still take in lines of this window")
            yield from sorted(_rows(map(cells_of, response["results"]), role))
        if errors:
            said["error"] = "; ".join(errors)

    def _known(self) -> KnownStage:
        known = known_stage(self.shared, self.account, self.stage, self.tally)
        if isinstance(known, Absent):
            raise BadInput(known.reason, hint=known.hint)
        return known


def _window(asked: Asked) -> TimeWindow:
    if asked.window is None:
        raise BadWindow(
            "Logs Insights charges for what it scans, so it is not asked without a window",
            hint="give --from and --to",
        )
    return asked.window


def _roles(known: KnownStage) -> tuple[str, ...]:
    return ("counts",) if "latency" in known.queries.missing else ("counts", "latency")


def _rows(results: Iterable[Mapping[str, str]], role: str) -> Iterator[Row]:
    """An answer's rows as a rollup has them; one that says no second or route is unread."""
    alias = "requests_in_bucket" if role == "latency" else "requests"
    for cells in results:
        count, key = count_of(cells, alias), key_of(cells)
        bucket = bucket_of(cells) if role == "latency" else -1
        if count is None or key is None or bucket is None:
            yield (UNREAD, 0, "-", "-", 0, *("-" for _ in _FACTS), -1, max(count or 0, 1))
            continue
        second, method, route, status = key
        facts = (value_of(cells, name) or "-" for name in _FACTS)
        kind = LATENCY if role == "latency" else REQUEST
        yield (kind, int(second.timestamp()), method, route, status, *facts, bucket, count)
