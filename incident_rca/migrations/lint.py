"""From the text of a migration to its findings; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from incident_rca.lock_modes import in_words, meaning
from incident_rca.migrations import grammar
from incident_rca.migrations.bodies import statements_inside
from incident_rca.migrations.ignores import BadIgnore, Ignore, read_ignores
from incident_rca.migrations.operations import AlterTable, Block, Calls, CreateFunction
from incident_rca.migrations.rule import Context, Hit, Rule
from incident_rca.migrations.rules import BY_NAME, RULES
from incident_rca.migrations.runners import RUNNERS, Runner, refuses_transaction, way_out
from incident_rca.migrations.script import NotChecked, Place, Script, Statement, read_script
from incident_rca.migrations.session import Session, after
from incident_rca.migrations.sizes import TableSizes
from incident_rca.migrations.weighing import Blocking, Thresholds, weigh
from incident_rca.model import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is true of all files: sizes, thresholds, the runner, and timeouts set by the role."""

    sizes: TableSizes | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    runner: Runner = RUNNERS["psql"]
    has_lock_timeout: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """A statement that breaks a rule, where it stands, and the safe way to do it."""

    rule: str
    severity: Severity
    path: str
    start: Place
    end: Place
    relation: str
    lock_mode: str
    message: str
    reason: str
    blocking: Blocking | None
    rewrite: tuple[str, ...]

    @property
    def blocks(self) -> str:
        """What the lock means for others, "" without one."""
        return f"{in_words(self.lock_mode)} {meaning(self.lock_mode)}" if self.lock_mode else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A finding that a comment sets aside."""

    finding: LintFinding
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was found in one file; `refused` says why nothing of it was read."""

    path: str
    text: str
    statements: int
    findings: tuple[LintFinding, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    passed_over: int = 0
    unused_ignores: tuple[Ignore, ...] = ()
    bad_ignores: tuple[BadIgnore, ...] = ()
    refused: str = ""


_NO_TEXT = "it is not UTF-8 text: save it as UTF-8"
Functions = dict[str, Statement]


def lint_files(
    files: Sequence[tuple[str, str | None]], around: Surroundings
) -> tuple[FileReport, ...]:
    """The reports of (path, text) pairs in the order in which they would run.

    A text is None where a file's bytes are none; such a file costs itself only. Constraints that an
    earlier file has added and validated are known to the later ones; a table that it created is not
    new any more.
    """
    reports = []
    session = Session()
    for path, text in files:
        report, session = _lint_file(path, text, around, session)
        reports.append(report)
    return tuple(reports)


def lint_text(text: str, around: Surroundings | None = None) -> FileReport:
    """The report of one text."""
    return lint_files([("", text)], around or Surroundings())[0]


def _lint_file(
    path: str, text: str | None, around: Surroundings, before: Session
) -> tuple[FileReport, Session]:
    if text is None:
        return FileReport(path=path, text="", statements=0, refused=_NO_TEXT), before
    script = read_script(text)
    if script.refused:
        refused = FileReport(path=path, text=text, statements=0, refused=script.refused)
        return refused, before
    operations = [s.operation for s in script.statements]
    wrapped = around.runner.wraps(operations)
    session = Session(
        implicit=around.runner.name if wrapped and around.runner.one_string else "",
        known=before.known,
        domains=before.domains,
        index_tables=before.index_tables,
        role_timeout=around.has_lock_timeout,
        lock_timeout=around.has_lock_timeout,
    )
    if wrapped:
        session = replace(session, in_transaction=around.runner.name, begun=session)
    found: list[tuple[Statement, LintFinding]] = []
    missed = list(script.not_checked)
    functions = _functions(script)
    for statement in script.statements:
        for part in (statement, *_run_inside(statement, functions, missed)):
            context = Context(session=session, sizes=around.sizes, runner=around.runner)
            found += [(part, f) for f in _findings(path, part, context, around)]
            session = after(session, part.operation, part.start.line)
    good, bad = read_ignores(script.text, BY_NAME.keys())
    kept, ignored, unused = _set_aside(found, good, script)
    report = FileReport(
        path=path,
        text=script.text,
        statements=len(script.statements),
        findings=_folded(kept),
        ignored=ignored,
        not_checked=tuple(sorted(missed, key=lambda n: n.start)),
        passed_over=script.passed_over,
        unused_ignores=unused,
        bad_ignores=bad,
    )
    return report, session


def _functions(script: Script) -> Functions:
    """The functions of the file, what is in which runs once it is called."""
    return {
        s.operation.name.name: s
        for s in script.statements
        if isinstance(s.operation, CreateFunction)
    }


def _run_inside(
    statement: Statement, known: Functions, missed: list[NotChecked]
) -> tuple[Statement, ...]:
    """The statements that run as part of one: the body of DO, or of a function that it calls."""
    match statement.operation:
        case Block():
            parts = [statements_inside(statement)]
        case Calls(functions=functions):
            parts = [statements_inside(known[f.name]) for f in functions if f.name in known]
        case _:
            return ()
    missed += [n for _, not_read in parts for n in not_read]
    return tuple(s for inside, _ in parts for s in inside)


def _findings(
    path: str, statement: Statement, context: Context, around: Surroundings
) -> Iterator[LintFinding]:
    for rule in RULES:
        for hit in rule.check(statement, context):
            finding = _weighed(path, rule, hit, statement, context, around)
            if finding is not None:
                yield finding


def _weighed(
    path: str,
    rule: Rule,
    hit: Hit,
    statement: Statement,
    context: Context,
    around: Surroundings,
) -> LintFinding | None:
    severity, reason, blocked = hit.severity, "", None
    lock = hit.lock
    relation = context.session.resolve(lock.relation) if lock else None
    if lock is not None and hit.is_weighed:
        table = context.table_of_index(hit.index) if hit.index else relation
        weight = weigh(lock, table, around.sizes, around.thresholds)
        if weight is None:
            return None
        severity, reason, blocked = weight.severity, weight.reason, weight.blocking
        if not hit.is_certain and severity is Severity.HIGH:
            severity = Severity.MEDIUM
    return LintFinding(
        rule=rule.name,
        severity=severity,
        path=path,
        start=statement.start,
        end=statement.end,
        relation=str(relation or ""),
        lock_mode=lock.mode if lock else "",
        message=hit.what,
        reason=reason,
        blocking=blocked,
        rewrite=(*hit.rewrite, *_remarks(rule, hit, statement, context)),
    )


def _remarks(rule: Rule, hit: Hit, statement: Statement, context: Context) -> Iterator[str]:
    """The other actions of an ALTER TABLE, of which one is shown, and where a step cannot run."""
    of = statement.operation
    if isinstance(of, AlterTable) and len(of.actions) > 1 and not rule.once:
        yield "-- the other actions of the statement stay"
    inside = context.session.in_transaction
    steps = grammar.parse("\n".join(hit.rewrite)) if inside or statement.in_body else ()
    if not isinstance(steps, grammar.Unreadable):
        refused = [name for step in steps if (name := refuses_transaction(step.operation))]
        if refused:
            cure = way_out(context.runner, inside, in_body=statement.in_body)
            yield f"-- {refused[0]} does not run here: {cure}"


def _set_aside(
    found: list[tuple[Statement, LintFinding]], ignores: tuple[Ignore, ...], script: Script
) -> tuple[list[LintFinding], tuple[Ignored, ...], tuple[Ignore, ...]]:
    """The findings that stay, those that a comment ignores, and the comments that ignored none.

    A comment is about the statement that it is inside of or beside, or right above.
    """
    starts = sorted({s.start for s in script.statements})
    beside: dict[tuple[str, int], Ignore] = {}
    above: dict[tuple[str, Place], Ignore] = {}
    for ignore in ignores:
        beside.setdefault((ignore.rule, ignore.place.line), ignore)
        following = bisect_right(starts, ignore.place)
        if ignore.alone and following < len(starts):
            above.setdefault((ignore.rule, starts[following]), ignore)
    used: set[Ignore] = set()
    kept: list[LintFinding] = []
    ignored: list[Ignored] = []
    for statement, finding in found:
        lines = range(statement.start.line, statement.end.line + 1)
        match = above.get((finding.rule, statement.within or statement.start)) or next(
            (beside[finding.rule, line] for line in lines if (finding.rule, line) in beside), None
        )
        if match is None:
            kept.append(finding)
        else:
            used.add(match)
            ignored.append(Ignored(finding=finding, because=match.reason))
    return kept, tuple(ignored), tuple(i for i in ignores if i not in used)


def _folded(findings: list[LintFinding]) -> tuple[LintFinding, ...]:
    """The findings in their order, those of a rule that is told once folded into the first."""
    ordered = sorted(findings, key=lambda f: (f.start, f.rule))
    told_once = [f for f in ordered if BY_NAME[f.rule].once]
    out = [f for f in ordered if not BY_NAME[f.rule].once]
    for rule in dict.fromkeys(f.rule for f in told_once):
        first, *others = [f for f in told_once if f.rule == rule]
        more = f"; {len(others)} more in this file" if others else ""
        severest = min((f.severity for f in (first, *others)), key=list(Severity).index)
        out.append(replace(first, message=first.message + more, severity=severest))
    return tuple(sorted(out, key=lambda f: (f.start, f.rule)))
