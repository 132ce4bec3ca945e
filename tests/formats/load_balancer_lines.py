"""Lines of a load balancer's access log, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 15, 14, 10, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One request; `second` is its arrival after START, the fields as the log writes them."""

    second: float = 0.0
    took: tuple[str, str, str] = ("0.001", "0.030", "0.002")
    elb_status: str = "200"
    target_status: str = "200"
    target: str = "10.0.0.1:8080"
    request: str = "GET https://shop.example.com:443/api/orders HTTP/1.1"
    agent: str = "curl/8.5.0"
    trace: str = "Root=1-6968f7a0-0123456789abcdef01234567"
    actions: str = "forward"
    reason: str = "-"
    kind: str = "https"
    balancer: str = "app/shop/50dc6c495c0c9188"
    fields: int = 30

    @property
    def arrived(self) -> datetime:
        return START + timedelta(microseconds=round(self.second * 1e6))

    def __str__(self) -> str:
        seconds = sum(float(part) for part in self.took if float(part) >= 0)
        answered = self.arrived + timedelta(microseconds=round(seconds * 1e6))
        fields = [
            *(self.kind, _time(answered), self.balancer, "203.0.113.9:40000", self.target),
            *self.took,
            *(self.elb_status, self.target_status, "412", "1034"),
            *(f'"{self.request}"', f'"{self.agent}"', "ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2"),
            "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/73e2d6bc24d8a067",
            *(f'"{self.trace}"', '"shop.example.com"', '"session-reused"', "1"),
            *(_time(self.arrived), f'"{self.actions}"', '"-"', f'"{self.reason}"'),
            *(f'"{self.target}"', f'"{self.target_status}"', '"-"', '"-"', "TID_0123456789abcdef"),
            *('"-"', '"-"', '"-"', '"a field that is new"', "7"),
        ]
        return " ".join(fields[: self.fields])


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
