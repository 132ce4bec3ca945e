"""A case to its tickets: what is sent, that it is what the evidence gives, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from incident_rca import case as case_folder
from incident_rca.errors import BadInput, BadSettings
from incident_rca.model import Analysis
from incident_rca.one_writer import locked
from incident_rca.pipeline import REPORT_HTML, REPORT_JSON, REPORT_MD
from incident_rca.report.contract import to_json
from incident_rca.report.digest import digest
from incident_rca.settings import Settings
from incident_rca.sources import http
from incident_rca.sources.clock import Clock
from incident_rca.sources.tally import Tally
from incident_rca.tickets import system_of
from incident_rca.tickets.delivery import Content, Delivery, Outcome
from incident_rca.tickets.ledger import Entry, read_entry, write_entry
from incident_rca.tickets.system import System
from incident_rca.tickets.wire import Attachment, Connection, Request, Sender, rehearsing, send

MEDIA_TYPES = {
    ".md": "text/markdown; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
# A post whose answer was lost may be stored a moment later.
LOOK_AFTER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent of a case: its analysis, its report as it stands, and its files."""

    folder: Path
    analysis: Analysis
    files: tuple[Attachment, ...]

    @property
    def report(self) -> str:
        """The text of report.md, with what people wrote into it."""
        return next(f.content.decode("utf-8", "replace") for f in self.files if f.name == REPORT_MD)


@dataclass(frozen=True, slots=True)
class Target:
    """A ticket as it was named, where its system is, and what it lacks to be reached."""

    to: str
    at: str
    system: System
    ticket: str
    missing: tuple[str, ...]


def parcel_of(folder: Path, analysis: Analysis) -> Parcel:
    """The files of a reported case; raises BadInput where its report is not of this analysis.

    Of a chart that is there as PNG and as SVG only the PNG is taken: that is what tickets show.
    """
    report = folder / REPORT_JSON
    if any(not p.is_file() or p.is_symlink() for p in (report, folder / REPORT_MD)):
        raise BadInput(
            f"{folder}: there is no report to attach", hint=f"incident-rca report {folder}"
        )
    if report.read_text(encoding="utf-8") != to_json(analysis):
        raise BadInput(
            f"{report}: is not what the evidence gives any more",
            hint=f"incident-rca report {folder}",
        )
    charts = {p for end in ("png", "svg") for p in (folder / case_folder.CHARTS).glob(f"*.{end}")}
    shown = {p for p in charts if p.suffix == ".png" or p.with_suffix(".png") not in charts}
    paths = [folder / name for name in (REPORT_MD, REPORT_HTML, REPORT_JSON)] + sorted(shown)
    files = (
        Attachment(p.relative_to(folder).as_posix(), MEDIA_TYPES[p.suffix], p.read_bytes())
        for p in paths
        # A link in a case that somebody else packed may lead to anything on this machine.
        if p.is_file() and not p.is_symlink()
    )
    return Parcel(folder, analysis, tuple(files))


def target_of(to: str, settings: Settings, environ: Mapping[str, str]) -> Target:
    """The ticket that `to` names; raises BadSettings where it names none."""
    system, ticket = system_of(to)
    url = system.url(settings, ticket)
    # Made once without a sender, so that a target that is none is told before anything is sent.
    system.ticket(url, ticket, rehearsing([]))
    missing = tuple(name for name in system.variables if not environ.get(name))
    return Target(to, url, system, ticket, missing)


def require_variables(target: Target) -> None:
    """Raises BadSettings where the environment lacks what the target needs."""
    if target.missing:
        raise BadSettings(
            f"{target.to} needs {' and '.join(target.missing)} in the environment",
            hint="set what is missing; without --yes none of it is needed",
        )


def rehearse(
    parcel: Parcel, target: Target, *, resends: bool = False
) -> tuple[list[Request], list[Outcome]]:
    """The requests that attaching would send now, and what would not get that far.

    Nothing is sent, asked for or kept.
    """
    kept: list[Request] = []
    outcomes = _delivery(
        parcel, target, rehearsing(kept), keep=_forget, pause=_at_once, resends=resends
    )
    return kept, [outcome for outcome in outcomes if not outcome.did.is_done]


def attach(
    parcel: Parcel,
    target: Target,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    timeout_seconds: float,
    resends: bool = False,
) -> Iterator[Outcome]:
    """Attaches the case and gives what became of each post and file as it is known.

    Holds the case for writing meanwhile.
    """
    tally = Tally(clock, again="attach again")
    tally.begin(timeout_seconds)
    with ExitStack() as stack:
        stack.enter_context(locked(parcel.folder))
        sender = target.system.sender or _connected(stack, target, environ, tally)
        yield from _delivery(
            parcel,
            target,
            sender,
            keep=partial(write_entry, parcel.folder),
            pause=partial(tally.pause, LOOK_AFTER_SECONDS),
            resends=resends,
        )


def _connected(
    stack: ExitStack, target: Target, environ: Mapping[str, str], tally: Tally
) -> Sender:
    system = target.system
    given = {name: environ[name] for name in system.variables}
    site = stack.enter_context(
        http.opened(target.at, headers=system.headers(given), environ=environ)
    )
    connection = Connection(
        site,
        tally,
        system.variables,
        system.explain,
        system.refused,
        secrets=tuple(given.values()),
        environ=environ,
    )
    return partial(send, connection)


def _delivery(
    parcel: Parcel,
    target: Target,
    sender: Sender,
    *,
    keep: Callable[[Entry], None],
    pause: Callable[[], None],
    resends: bool,
) -> Iterator[Outcome]:
    ticket = target.system.ticket(target.at, target.ticket, sender)
    entry = read_entry(parcel.folder, target.to, target.at)
    content = Content(digest(parcel.analysis), parcel.report, target.to)
    delivery = Delivery(ticket, entry, keep, pause, resends)
    return delivery.run(ticket.posts(content), parcel.files)


def _forget(entry: Entry) -> None:
    """Of a rehearsal nothing is noted."""


def _at_once() -> None:
    """A rehearsal waits for nothing."""
