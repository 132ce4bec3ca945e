"""Puts what sources answer about a window into a case folder, as soon as each has answered.

So nothing fetched is lost where the next one fails.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from types import MappingProxyType

from incident_rca import __version__
from incident_rca import case as case_folder
from incident_rca.answered import (
    contains,
    is_provisional,
    overlaps,
    provisional,
    renamed,
    status_of,
    together,
)
from incident_rca.asking import USUAL, Fetched, Found, Limits, Outcome, Question, side_by_side
from incident_rca.collected_files import Incoming, copied, incoming, intact, sort_out
from incident_rca.errors import IncidentRcaError, NoSuchCase
from incident_rca.formats import BY_KIND
from incident_rca.formats.lines import document_of
from incident_rca.formats.parsed import Parsed, RawInput, utc_instant
from incident_rca.importing import with_declared_clock, with_settings
from incident_rca.model import Basis, Case, RawFile, SourceState, SourceStatus, TimeWindow
from incident_rca.one_writer import holds_other_files, locked, moving
from incident_rca.pipeline import Progress, append_tables, joined_tables, parse_raw
from incident_rca.settings import Settings
from incident_rca.sources.answers import Absent, Answer
from incident_rca.work_folder import work_folder

ANSWERED = frozenset({SourceState.OK, SourceState.EMPTY, SourceState.PARTIAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The case as it stands now, and what came of each question.

    `answered` are new or replaced, `known` were in the case already, `kept` are those whose new
    answer was no better than the one in the case, with the reason.
    """

    case: Case
    answered: tuple[SourceStatus, ...]
    known: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]


def collect(
    folder: Path,
    questions: Sequence[Question],
    *,
    window: TimeWindow,
    settings: Settings,
    title: str = "",
    limits: Limits = USUAL,
    progress: Progress = lambda _: None,
) -> Collected:
    """The case with what each source answered about `window`; one that fails costs only itself.

    A good answer that the case has for this window is not asked for again. Raises NoSuchCase for a
    folder with files that is no case.
    """
    with locked(folder), work_folder() as work:
        if not case_folder.exists(folder) and holds_other_files(folder):
            raise NoSuchCase(
                f"{folder}: is not empty, and no case", hint="name a new folder, or that of a case"
            )
        case = _begun(folder, window, settings, title)
        case_folder.write_case(folder, case)
        state = _Collecting(folder, work, window, settings, case)
        todo = []
        for question in questions:
            if state.has_good(question):
                # One that was killed between the answer and this has left it.
                state.clear(question)
            else:
                todo.append(question)
        for question, future in side_by_side(todo, window, limits=limits, progress=progress):
            state.take(question, future)
            state.clear(question)
        _write_tables(folder, state.case, state.parsed)
        with suppress(OSError):  # there is none, or it has what is not whole yet
            (folder / case_folder.SPOOL).rmdir()
    return Collected(
        case=state.case,
        answered=tuple(s for s in state.case.sources if s.name in state.answered),
        known=tuple(state.known),
        kept=tuple(state.kept),
    )


def _begun(folder: Path, window: TimeWindow, settings: Settings, title: str) -> Case:
    if not case_folder.exists(folder):
        start = Case(id=folder.resolve().name, title=title, window=window, window_basis="given")
        return replace(with_settings(start, settings), tool_version=__version__)
    case = case_folder.read_case(folder)
    if window != case.window:
        case = replace(case, window=window, window_basis="given")
    return replace(case, title=title or case.title, tool_version=__version__)


def _write_tables(folder: Path, case: Case, parsed: Mapping[str, Parsed]) -> None:
    """Writes the tables where all rows are at hand; else the report makes them anew."""
    if any(source.files and source.name not in parsed for source in case.sources):
        append_tables(folder, case, parsed)
        return
    frames = [part.frames for part in parsed.values()]
    tables = {table for part in frames for table in part}
    whole = joined_tables({t: [part[t] for part in frames if t in part] for t in tables})
    case_folder.write_tables(folder, whole, case.sources)


@dataclass(slots=True)
class _Collecting:
    """The case while the answers come in."""

    folder: Path
    work: Path
    window: TimeWindow
    settings: Settings
    case: Case
    # The sources as they stand: their files are hashed once, for nobody else writes.
    standing: dict[str, SourceStatus] = field(default_factory=dict)
    parsed: dict[str, Parsed] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    known: list[str] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)

    def has_good(self, question: Question) -> bool:
        """Whether the case has a whole answer for the window; what is local may have grown."""
        old = self._named(question.name)
        is_good = (
            not question.is_local
            and old is not None
            and old.state in (SourceState.OK, SourceState.EMPTY)
            and contains(old.asked, self.window)
            and not (question.settles_after and is_provisional(old))
        )
        if is_good:
            self.known.append(question.name)
        return is_good

    def take(self, question: Question, future: Future[Outcome]) -> None:
        """Puts one answer into the case, as far as it is better than what is there."""
        with ExitStack() as parts:
            try:
                fresh = self._read(question, future.result(), parts)
            except (IncidentRcaError, OSError, UnicodeError) as error:
                self._take_nothing(question, SourceState.FAILED, _absence_of(error))
                return
            if isinstance(fresh, Absent):
                self._take_nothing(question, SourceState.SKIPPED, fresh)
            elif fresh is not None:
                self._place(fresh)

    def clear(self, question: Question) -> None:
        """Empties the spool of a source that is whole now."""
        source = self._named(question.name)
        whole = (SourceState.OK, SourceState.EMPTY)
        if question.spool and source is not None and source.state in whole:
            shutil.rmtree(question.spool, ignore_errors=True)

    def _take_nothing(self, question: Question, state: SourceState, why: Absent) -> None:
        """Notes why there is no answer, unless the case has one: then only what it lacks."""
        old = self._named(question.name)
        if old is not None and old.files:
            self.kept.append((old.name, why.reason))
            if old.state in ANSWERED and not contains(old.asked, self.window):
                reason = f"asked only for another window; for this one: {why.reason}"
                self._replace(
                    old, replace(old, state=SourceState.PARTIAL, reason=reason, hint=why.hint)
                )
            return
        status = SourceStatus(
            name=question.name,
            system=BY_KIND[question.kind].system,
            kind=question.kind,
            state=state,
            asked=self.window,
            reason=why.reason,
            hint=why.hint,
        )
        self._replace(old, with_declared_clock(status, self.settings))
        self.answered.add(status.name)

    def _read(
        self, question: Question, outcome: Outcome, parts: ExitStack
    ) -> _Fresh | Absent | None:
        """The answer as it would stand in the case, or None where it stands there already."""
        if isinstance(outcome, Absent):
            return outcome
        old = self._named(question.name)
        kept = intact(self.folder, old)
        if isinstance(outcome, Fetched):
            whole = copied(self.folder, outcome.files, parts)
            fresh = self._parsed(question, [], whole, is_same=False, damage=outcome.damage)
            return _answered(question, fresh, outcome.asked_at, outcome.clock_offset_seconds)
        if not isinstance(outcome, Found):
            is_same = self._is_same_response(outcome, kept)
            new = incoming(self.folder, f"{question.name}.json", parts)
            text = json.dumps(outcome, indent=2, ensure_ascii=False)
            new.at.write_text(text + "\n", encoding="utf-8", newline="\n")
            fresh = self._parsed(question, [], [new], is_same=is_same)
            asked_at = utc_instant(outcome["asked_at"])
            return _answered(question, fresh, asked_at, outcome.get("clock_offset_seconds"))
        others = {f.sha256 for s in self.case.sources if s.name != question.name for f in s.files}
        stay, found = sort_out(self.folder, kept, outcome.files, others)
        is_unchanged = old is not None and (stay, old.asked) == ([*old.files], self.window)
        if not found and (is_unchanged or (outcome.files and not stay)):
            self.known.append(question.name)
            return None
        news = copied(self.folder, found, parts)
        return self._parsed(question, stay, news, is_same=False)

    def _parsed(
        self,
        question: Question,
        kept: Sequence[RawFile],
        news: Sequence[Incoming],
        *,
        is_same: bool,
        damage: str = "",
    ) -> _Fresh | Absent:
        """All files of a source as one; one that cannot be read is damage, all of them an error."""
        known = BY_KIND[question.kind]
        read: dict[RawFile, Parsed] = {}
        refused: list[IncidentRcaError] = []
        at = {file: self.folder / file.path for file in kept}
        at |= {RawFile(new.path, case_folder.sha256_of(new.at)): new.at for new in news}
        for file, place in at.items():
            try:
                parsed = self._rows(question, file.path, place)
            except IncidentRcaError as error:
                refused.append(error)
                continue
            # A segment is found by its name, which does not say when it ended.
            is_of_window = overlaps(parsed.covered, self.window)
            if is_of_window or not question.is_continuous or file in kept:
                read[file] = parsed
        if not read:
            if refused:
                raise refused[0]
            return question.without
        whole = together(list(read.values()), is_continuous=question.is_continuous)
        reasons = (damage, whole.damage, *(e.message for e in refused))
        whole = replace(whole, damage="; ".join(reason for reason in reasons if reason))
        status = status_of(
            question.name,
            known,
            whole,
            list(read),
            window=self.window,
            is_continuous=question.is_continuous,
        )
        status = replace(status, reading=dict(question.reading))
        moved = {file.path: at[file] for file in read if file not in kept}
        return _Fresh(with_declared_clock(status, self.settings), whole, moved, is_same)

    def _rows(self, question: Question, path: str, place: Path) -> Parsed:
        known = BY_KIND[question.kind]
        raw = RawInput(
            path=place,
            file=path,
            source=question.name,
            work=self.work,
            reading=question.reading,
        )
        parsed = parse_raw(known, raw)
        if parsed.is_unread:
            raise parsed.unread(path, known.kind, "is it the file you meant?")
        return parsed

    def _place(self, fresh: _Fresh) -> None:
        """Puts a good answer in the place of one that says no more, else beside it."""
        old = self._named(fresh.status.name)
        if old is not None and not _says_no_more(old, fresh):
            if contains(old.asked, self.window) and old.state is fresh.status.state:
                self.kept.append((old.name, "the new answer covers less"))
                return
            fresh = self._beside(fresh)
            old = None
        self._replace(old, fresh.status, fresh.parts)
        self.parsed[fresh.status.name] = fresh.parsed
        self.answered.add(fresh.status.name)

    def _beside(self, fresh: _Fresh) -> _Fresh:
        taken = {source.name for source in self.case.sources}
        name = next(n for i in count(2) if (n := f"{fresh.status.name}-{i}") not in taken)
        return replace(
            fresh,
            status=replace(fresh.status, name=name),
            parsed=renamed(fresh.parsed, name),
        )

    def _replace(
        self,
        old: SourceStatus | None,
        new: SourceStatus,
        parts: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        """Writes the case with the new source; its files come first, those not needed go last."""
        others = [s for s in self.case.sources if old is None or s.name != old.name]
        sources = _without_placeholders([*others, new])
        self.case = replace(self.case, sources=tuple(sorted(sources, key=lambda s: s.name)))
        with moving(self.folder, [*parts, *(file.path for file in (old.files if old else ()))]):
            for path, part in parts.items():
                case_folder.put(part, self.folder / path)
            case_folder.write_case(self.folder, self.case)
        self.standing[new.name] = new

    def _named(self, name: str) -> SourceStatus | None:
        """The source of that name as it stands: `failed` where one of its files is not."""
        found = next((s for s in self.case.sources if s.name == name), None)
        if found is not None and name not in self.standing:
            self.standing[name] = case_folder.check_files(self.folder, found)
        return self.standing[name] if found else None

    def _is_same_response(self, answer: Answer, kept: Sequence[RawFile]) -> bool:
        said = json.loads(json.dumps(answer["response"]))
        return any(document_of(self.folder / f.path).get("response") == said for f in kept)


@dataclass(frozen=True, slots=True)
class _Fresh:
    """An answer that is read: its files lie beside their place until they are put there."""

    status: SourceStatus
    parsed: Parsed
    parts: Mapping[str, Path]
    is_same: bool


def _answered(
    question: Question,
    fresh: _Fresh | Absent,
    asked_at: datetime | None,
    bounds: Sequence[float] | None,
) -> _Fresh | Absent:
    """The answer with the bounds of its service's clock, and marked where it may still grow."""
    if isinstance(fresh, Absent):
        return fresh
    status = fresh.status
    if bounds:
        lo, hi = bounds
        status = replace(status, clock_offset_seconds=(lo, hi), clock_offset_basis=Basis.OBSERVED)
    if asked_at is not None and question.settles_after is not None:
        status = provisional(status, asked_at, question.settles_after)
    return replace(fresh, status=status)


def _absence_of(error: Exception) -> Absent:
    if isinstance(error, IncidentRcaError):
        return Absent(error.message, error.hint)
    return Absent(str(error) or type(error).__name__, "check path and rights")


def _says_no_more(old: SourceStatus, fresh: _Fresh) -> bool:
    if old.state not in ANSWERED or old.state is SourceState.EMPTY or fresh.is_same:
        return True
    # Some ask for a little more than the window; what lies there is no reason to keep half of it.
    return contains(fresh.status.covered, _within(old.covered, old.asked))


def _within(covered: TimeWindow | None, asked: TimeWindow | None) -> TimeWindow | None:
    """The part of what is covered that was asked for; all of it where none of it was."""
    if covered is None or asked is None or not overlaps(covered, asked):
        return covered
    return TimeWindow(max(covered.start, asked.start), min(covered.end, asked.end))


def _without_placeholders(sources: Sequence[SourceStatus]) -> list[SourceStatus]:
    """Without those that say a kind is missing, where something of the kind is there.

    They bear the name of their kind; a log does not say whose it is, so it stands for any server's.
    """
    there = {s.kind for s in sources if s.state is not SourceState.SKIPPED}
    return [
        s
        for s in sources
        if s.state is not SourceState.SKIPPED
        or s.kind not in there
        or (s.name != s.kind and s.kind != "postgres_log")
    ]
