"""Load balancers' logs, sound and damaged, for every engine to roll up, and how Python counts them.

`counted` takes lines apart by shlex and datetime: neither a pattern nor a statement of the program.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from tests.formats.builders import bucket, write
from tests.formats.load_balancer_lines import Line
from tests.formats.test_load_balancer_log import GUIDE, NOBODY, TYPES

Lines = tuple[str | bytes, ...]
Counted = Counter[tuple[int, str, str, str, int, str, int]]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def asked(path: str, *, method: str = "GET", host: str = "https://a.example:443") -> str:
    return f"{method} {host}{path} HTTP/1.1"


REASONS = [
    *("-", "", "AuthInvalidCookie", "LambdaUnhandled", "LambdaThrottling", "LambdaAccessDenied"),
    *("LambdaInvalidResponse", "LambdaResponseTooLarge", "LambdaConnectionTimeout", "é 10.0.0.1"),
    *("Target.Timeout", "two words"),
]
ACTIONS = [
    *("forward", "waf", "waf,forward", "waf,fixed-response", "fixed-response", "redirect", "-"),
    *("authenticate", "authenticate,fixed-response", "authenticate,forward", "forward,waf"),
]
STATUSES = [
    *("099", "100", "599", "600", "999", "-502", "0502"),
    "101",
    "200",
    "301",
    "400",
    "401",
    "403",
    "460",
    "463",
    "500",
    "502",
    "503",
    "504",
    "561",
]
PATHS = [
    *(
        "/",
        "/api/orders",
        "/api/orders/4711/items/9",
        "/v2/stock/SKU-12345",
        "/1/2/3",
        "/12-x/7.json",
    ),
    *(
        "/users/ada%40example.com",
        "/users/ada@example.com",
        "/a?b=c/d",
        "/a;jsessionid=1/2",
        "/a#b",
    ),
    *(
        f"/{'x' * 40}/{'y' * 41}",
        "/12é",
        "/é12/ü/日本",
        "/3_/4a/5-/",
        "//9//",
        "/{proxy+}",
        "/'s/\\",
    ),
]
REQUESTS = [
    *map(asked, PATHS),
    *(asked("/x", host="http://[2001:db8::1]:80"), asked("/ws", host="wss://a.example:443")),
    *("- http://a.example:80- -", "- - - ", "", "M-SEARCH https://a.example:443* HTTP/1.1"),
    *(
        "GET",
        "GET\t/x https://a/y",
        "GET\v/x https://a/y",
        f"{'G' * 33} https://a/x",
        "gé https://a/x HTTP/1.1",
        "G\u2028 https://a/x -",
    ),
    *("GET https://a/x\u2028y\u0085z HTTP/1.1", "GET https://a", "GET /bare HTTP/1.1"),
]
TOOK = [
    *(
        ("0.001", "0.030", "0.002"),
        ("-1", "-1", "-1"),
        ("0.000", "-1", "-1"),
        ("0.000", "0.000", "0.000"),
    ),
    *(
        ("0.000000", "0.000999", "0.000001"),
        ("0", "7", "0"),
        ("999999.5", "0.5", "0"),
        ("900000", "900000", "0"),
    ),
    *(
        ("1e3", "0.1", "0.1"),
        ("5d", "0.1", "0.1"),
        (".5", "0.1", "0.1"),
        ("1000000", "0.1", "0.1"),
        ("NaN", "0", "0"),
    ),
    *(("0.000", f"{n / 1000:.3f}", "0.000") for n in range(1, 400, 7)),
]
TIMES = [
    *(
        "2026-01-15T14:10:59.999999Z",
        "2026-01-15T14:10:59Z",
        "2026-01-15T14:10:59.5Z",
        "2024-02-29T23:59:59.000001Z",
    ),
    *(
        "2026-02-30T00:00:00.000000Z",
        "2026-01-15T24:00:00.000000Z",
        "2026-01-15T14:10:60.000000Z",
        "-",
    ),
    *(
        "2026-01-15 14:10:59Z",
        "2026-01-15T14:10:59",
        "2026-01-15T14:10:59+02:00",
        "1999-12-31T23:59:59.000000Z",
    ),
    *(
        "2100-01-01T00:00:00.000000Z",
        "2099-12-31T23:59:59.999999Z",
        "2026-13-01T00:00:00.000000Z",
        "20260115",
    ),
    *("2026-01-15T14:10:59.123456789Z", "２０２６-01-15T14:10:59.000000Z"),
]


def _created(at: str) -> str:
    return str(Line(elb_status="502", target_status="-")).replace("2026-01-15T14:10:00.000000Z", at)


def _answered(at: str, fields: int) -> str:
    """A line whose time of the answer is another; 20 fields have no time of arrival."""
    line = Line(elb_status="504", took=("0.001", "60.000", "-1"), fields=fields)
    kind, _, rest = str(line).split(" ", 2)
    return f"{kind} {at} {rest}"


_SOUND = str(Line(elb_status="502", target_status="-"))
_TORN_IN_PATH = _SOUND[: _SOUND.index("/orders") + 4]
# Each line on its own is sound: Python's own readers understand it.
SOUND: Mapping[str, tuple[str, ...]] = {
    "types": tuple(str(Line(second=n * 0.3, **fields)) for n, (fields, _, _) in enumerate(TYPES)),
    "latencies": tuple(
        str(Line(second=n / 50, took=("0.001", f"{n / 1000:.3f}", "0.002")))
        for n in range(0, 3_000, 7)
    ),
    "seconds": tuple(
        str(
            Line(
                second=n * 0.37, elb_status=status, target_status=status, balancer=f"app/b{n % 3}/5"
            )
        )
        for n, status in enumerate(["200", "404", "502", "503"] * 40)
    ),
    "steps that were not reached": tuple(
        str(Line(second=n, **(NOBODY | {"elb_status": status})))
        for n, status in enumerate(["460", "502", "503", "504"])
    ),
    "older and newer lines": tuple(
        str(Line(second=n * 0.7, elb_status="502", target_status="502", fields=fields))
        for n, fields in enumerate([13, 14, 16, 17, 18, 20, 22, 25, 29, 30, 33, 35])
    ),
    "addresses of IPv6": tuple(
        str(Line(second=n, target="[2001:db8::2]:8080")).replace("203.0.113.9:", "[2001:db8::1]:")
        for n in range(3)
    ),
    "quotes": tuple(
        str(
            Line(
                second=1.5 * n,
                agent=agent,
                elb_status="502",
                target_status="-",
                reason="LambdaUnhandled",
            )
        )
        for n, agent in enumerate([r"say \"hi\" twice", r"\"", "", "-", "x" * 8000, "it's 502 -"])
    ),
    "the guide's": (GUIDE,),
}
LOGS: Mapping[str, Lines] = {
    **SOUND,
    "statuses, actions and reasons": tuple(
        str(
            Line(second=n / 90, elb_status=elb, target_status=target, actions=action, reason=reason)
        )
        for n, (elb, target, action, reason) in enumerate(
            (elb, target, action, reason)
            for elb in STATUSES
            for target in ("-", elb, "200")
            for action in ACTIONS
            for reason in REASONS
        )
    ),
    "requests": tuple(
        str(Line(second=n / 10, request=request, elb_status="404"))
        for n, request in enumerate(REQUESTS)
    ),
    "durations": tuple(
        str(Line(second=n / 10, fields=fields)).replace("0.001 0.030 0.002", " ".join(took))
        for n, took in enumerate(TOOK)
        for fields in (20, 30)
    ),
    "times": (
        *map(_created, TIMES),
        *(_answered(at, fields) for at in TIMES for fields in (20, 30)),
    ),
    "odd statuses": tuple(
        _SOUND.replace(" 502 - ", f" {elb} {target} ")
        for elb in ("502", "099", "1000", "-", "5d2", "502.0", "５０２")
        for target in ("-", "502", "+502", "200\u2028")
    ),
    "quotes of its own": tuple(
        str(Line(second=n, agent=agent, elb_status="502", target_status="-"))
        for n, agent in enumerate(
            ['say "hi', '"', 'a "b" "c" d', '" 1 2020-01-01T00:00:00Z "', "\\"]
        )
    ),
    "torn": (
        str(Line()),
        *(_SOUND[:n] for n in range(0, len(_SOUND), 9)),
        "",
        "   ",
        "\t",
        "garbage 502 ",
        "tcp" + _SOUND[5:],
        _SOUND.replace("https ", "HTTPS "),
        _SOUND + _SOUND,
        str(Line(second=9)),
    ),
    "other bytes": (
        str(Line()),
        b"\xff\xfe 502",
        _SOUND.replace("curl", "\u00e9").encode("latin-1"),
        _SOUND.replace("curl", "日本"),
        _SOUND.replace("/api", "/\u2028"),
    ),
    "line ends of Windows": (str(Line()) + "\r", _SOUND + "\r", _TORN_IN_PATH + "\r", "\r"),
    "blanks around": (str(Line()), " " + _SOUND, "\t" + _SOUND, "\v" + _SOUND, _SOUND + " ", ""),
    "uneven line ends": (
        str(Line()) + "\r",
        _SOUND,
        "a\rb 0.001 0.001 0.001 502 \rc",
        _TORN_IN_PATH + "\rs",
        _SOUND + "\r",
    ),
}


def written(name: str, folder: Path) -> Path:
    return write(folder / "balancer.log", *LOGS[name])


def counted(lines: Iterable[str]) -> Counted:
    """Sound lines by second, balancer, method, path without its query, both statuses and bucket."""
    found: Counted = Counter()
    for line in lines:
        fields = shlex.split(line.replace("'", r"\'") if "'" in line else line)
        steps = [float(step) for step in fields[5:8]]
        took = timedelta(seconds=sum(steps)) if min(steps) >= 0 else None
        answered = datetime.fromisoformat(fields[1])
        created = (
            datetime.fromisoformat(fields[21])
            if len(fields) > 21
            else answered - (took or timedelta())
        )
        latency = took if took is not None else answered - created if len(fields) > 21 else None
        method, url, _ = fields[12].split(" ")
        milliseconds = None if latency is None else latency / timedelta(milliseconds=1)
        key = (
            (created - EPOCH) // timedelta(seconds=1),
            *(fields[2], method, urlsplit(url).path, int(fields[8]), fields[9]),
            -1 if milliseconds is None else bucket(milliseconds),
        )
        found[key] += 1
    return found
