"""Raw events of a log: from the shards in a spool folder to one file with a header."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from incident_rca.errors import Unreachable
from incident_rca.model import TimeWindow
from incident_rca.sources.answers import envelope
from incident_rca.sources.aws_client import Caller, Refusal
from incident_rca.sources.log_collection import milliseconds_of
from incident_rca.sources.log_events import Selection
from incident_rca.sources.log_shards import Shard, events_of, read_shards

SERVICE = "cloudwatch_logs"
# Events may come in so much later (Amazon CloudWatch Logs: "eventual"): what is younger may grow.
PROVISIONAL = timedelta(minutes=15)

Part = tuple[Selection, Shard]


def spooled(
    caller: Caller,
    parts: list[Part],
    *,
    window: TimeWindow,
    spool: Path,
    request: Mapping[str, Any],
    chosen: Callable[[Iterable[str]], Iterable[str]] = lambda lines: lines,
    reconciled: Callable[[], Mapping[str, Any]] = dict,
) -> Path:
    """The events of all parts that are `chosen`, in one file with a header.

    `reconciled` is asked for more of the header's response once all events are written. A failure
    stands in the header; it is raised where there is no event at all.
    """
    asked_at = caller.tally.clock.now()
    is_provisional = asked_at - window.end < PROVISIONAL
    settled_ms = milliseconds_of(asked_at - PROVISIONAL) // 1000 * 1000
    folders = [spool / _folder_name(selection) for selection, _ in parts]
    failure: Unreachable | None = None
    for (selection, whole), folder in zip(parts, folders, strict=True):
        if failure is None:
            until = settled_ms if is_provisional else whole.end_ms
            failure = read_shards(caller, selection, whole, folder=folder, settled_ms=until)
    body = spool / "events.part"
    _write_lines(body, chosen(_once(folders)))
    if failure is not None and not any(any(f.iterdir()) for f in folders if f.is_dir()):
        body.unlink()
        raise failure
    response = {
        "complete": failure is None,
        "error": None if failure is None else said(failure),
        "provisional": is_provisional,
        "reconciled": None,
        **(reconciled() if failure is None else {}),
    }
    answer = envelope(SERVICE, request, response, window=window, asked_at=asked_at)
    header = {**answer, **offset_of(caller)}
    return _put_together(header, body, spool / f"{request['kind']}.ndjson")


def said(failure: Unreachable) -> dict[str, str]:
    """The failure as an answer bears it."""
    code = failure.code if isinstance(failure, Refusal) else "TimeOver"
    return {"code": code, "message": failure.message}


def offset_of(caller: Caller) -> dict[str, Any]:
    """The clock offset as an envelope bears it, empty where no answer showed it."""
    bounds = caller.offset.bounds
    return {} if bounds is None else {"clock_offset_seconds": list(bounds)}


def _once(folders: list[Path]) -> Iterator[str]:
    """The lines of all folders; where there are several, each event once (they hold few)."""
    if len(folders) == 1:
        yield from events_of(folders[0])
        return
    known: set[str] = set()
    for folder in folders:
        if folder.is_dir():
            for line in events_of(folder):
                event = json.loads(line)["eventId"]
                if event not in known:
                    known.add(event)
                    yield line


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def _put_together(header: Mapping[str, Any], body: Path, path: Path) -> Path:
    part = path.with_suffix(".part")
    with part.open("wb") as whole, body.open("rb") as lines:
        whole.write(json.dumps(header, ensure_ascii=False).encode() + b"\n")
        shutil.copyfileobj(lines, whole, 1 << 20)
    body.unlink()
    return part.replace(path)


def _folder_name(selection: Selection) -> str:
    """A folder for what was asked: another question must not find the answers to this one."""
    asked = f"{selection.log_group}\0{selection.pattern}"
    return f"shards-{hashlib.sha256(asked.encode()).hexdigest()[:12]}"
