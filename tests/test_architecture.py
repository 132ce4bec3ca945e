"""Holds the rules of the architecture over the syntax trees of the package.

Each rule is a function from files to violations, written `path:line: what is wrong`. It is run over
the package, over planted violations that it must catch, and over look-alikes that it must let pass.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "incident_rca"

SDKS = ("boto3", "botocore", "psycopg", "datadog_api_client")
HEAVY = (
    *(*SDKS, "duckdb", "pandas", "scipy", "numpy", "postgast", "google", "vl_convert", "altair"),
    *("pyspark", "py4j", "sqlglot"),
)
LIMIT_OF_MODULE = 400
LIMIT_OF_FUNCTION = 60


@dataclass(frozen=True)
class File:
    """One file of the project; `path` is relative to its root."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=self.path)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        """The folder or module right below the package: `analysis`, `settings`, `__main__`."""
        return [*self.module.split("."), ""][1]

    def at(self, node: ast.stmt | ast.expr | int, message: str) -> str:
        return f"{self.path}:{node if isinstance(node, int) else node.lineno}: {message}"


Check = Callable[[Sequence[File]], Iterator[str]]


def each_file(check: Callable[[File], Iterator[str]]) -> Check:
    """A rule that looks at one file at a time."""

    def over_all(files: Sequence[File]) -> Iterator[str]:
        for file in files:
            yield from check(file)

    return over_all


# --- who imports whom -------------------------------------------------------------------------


def imports(file: File) -> Iterator[tuple[int, str]]:
    """Each imported name in full, wherever the import stands: `from a import b` gives `a.b`."""
    package = file.module.split(".")
    if not file.path.endswith("/__init__.py"):
        package.pop()
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield node.lineno, argument.value


def is_in(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def core_imports_the_standard_library_only(file: File) -> Iterator[str]:
    if file.room in ("model", "errors"):
        for line, name in imports(file):
            own = is_in(name, f"{PACKAGE}.{file.room}")
            if not own and name.split(".")[0] not in sys.stdlib_module_names:
                yield file.at(line, f"{file.room} imports {name}")


OUTSIDE = tuple(f"{PACKAGE}.{room}" for room in ("sources", "case", "pipeline", "settings"))
FORBIDDEN = {
    "formats": (*OUTSIDE, *SDKS, f"{PACKAGE}.analysis", f"{PACKAGE}.report"),
    "analysis": (*OUTSIDE, *SDKS, f"{PACKAGE}.formats", f"{PACKAGE}.report"),
    "report": (*OUTSIDE, *SDKS, f"{PACKAGE}.formats"),
    "migrations": (*OUTSIDE, *SDKS, f"{PACKAGE}.formats", f"{PACKAGE}.analysis"),
    "whatif": (*OUTSIDE, *SDKS, f"{PACKAGE}.formats", f"{PACKAGE}.report"),
}


def pure_rooms_import_nothing_that_acts(file: File) -> Iterator[str]:
    """Nothing flows back, and nothing right of the case folder reaches for the network."""
    for line, name in imports(file):
        for forbidden in FORBIDDEN.get(file.room, ()):
            if is_in(name, forbidden):
                yield file.at(line, f"{file.room} imports {name}")


def nobody_imports_the_command_line(file: File) -> Iterator[str]:
    if file.room not in ("cli", "__main__"):
        for line, name in imports(file):
            if is_in(name, f"{PACKAGE}.cli"):
                yield file.at(line, f"imports {name}")


LISTING_ROOMS = ("cli", "sources", "formats", "analysis", "report", "migrations", "tickets")


def every_module_is_listed(files: Sequence[File]) -> Iterator[str]:
    """A source, format, finding or command is one file and one line: no file lacks its line."""
    named: dict[str, set[str]] = {}
    for file in files:
        strings = {
            node.value
            for node in ast.walk(file.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        for name in strings | {name for _, name in imports(file)}:
            for word in re.split(r"[.:]", name):
                named.setdefault(word, set()).add(file.path)
    for file in files:
        parts = file.module.split(".")
        if file.room in LISTING_ROOMS and len(parts) == 3 and not parts[2].startswith("_"):
            if not named.get(parts[2], set()) - {file.path}:
                yield file.at(1, f"no other module names it: it lacks its line in {file.room}/")


# --- what only one room may touch -------------------------------------------------------------


def dotted_names(file: File) -> Iterator[tuple[ast.expr, str]]:
    """Each name and attribute with its full name: `dt.now` after `import datetime as dt`."""
    known: dict[str, str] = {}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.split(".")[0]
                known[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def full_name(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return known.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            value = full_name(node.value)
            return f"{value}.{node.attr}" if value else ""
        return ""

    for node in ast.walk(file.tree):
        if isinstance(node, ast.Name | ast.Attribute) and (name := full_name(node)):
            yield node, name


CLOCKS_AND_ENVIRONMENT = frozenset(
    "datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today "
    "time.time time.time_ns time.localtime time.gmtime time.ctime "
    "pandas.Timestamp.now pandas.Timestamp.today pandas.Timestamp.utcnow "
    "os.environ os.environb os.getenv os.putenv".split()
)


def time_and_environment_are_arguments(file: File) -> Iterator[str]:
    if file.room not in ("cli", "settings"):
        for node, name in dotted_names(file):
            if name in CLOCKS_AND_ENVIRONMENT:
                yield file.at(node, f"{name} belongs in cli or settings; take it as an argument")


TALKS_OR_EXITS = frozenset(
    "sys.exit sys.stdin sys.stdout sys.stderr sys.__stdout__ sys.__stderr__ os._exit os.abort "
    "typer.echo typer.secho typer.prompt typer.confirm typer.Exit typer.Abort "
    "click.echo click.secho click.prompt click.confirm rich.print".split()
)
TALKING_BUILTINS = frozenset({"print", "input", "exit", "quit", "breakpoint"})


def only_the_command_line_talks_or_exits(file: File) -> Iterator[str]:
    if file.room in ("cli", "__main__"):
        return
    for node, name in dotted_names(file):
        if name in TALKS_OR_EXITS:
            yield file.at(node, f"{name} belongs in cli")
    for found in ast.walk(file.tree):
        if isinstance(found, ast.Call) and isinstance(found.func, ast.Name):
            if found.func.id in TALKING_BUILTINS:
                yield file.at(found, f"{found.func.id}() belongs in cli")
        elif isinstance(found, ast.Raise) and found.exc is not None:
            if ast.unparse(found.exc).split("(")[0] == "SystemExit":
                yield file.at(found, "raise SystemExit belongs in cli")


# A file of evidence comes from anybody, so nothing of it may become code, an object or a command.
RUNS_WHAT_IT_IS_GIVEN = frozenset(
    "pickle marshal shelve dill cloudpickle joblib yaml ruamel pandas.read_pickle pandas.eval "
    "os.system os.popen subprocess.getoutput subprocess.getstatusoutput "
    "asyncio.create_subprocess_shell ssl.CERT_NONE ssl._create_unverified_context "
    "urllib3.disable_warnings".split()
)
RUNNING_BUILTINS = frozenset({"eval", "exec", "compile"})
UNSAFE_KEYWORDS = {"shell": True, "allow_pickle": True, "verify": False, "check_hostname": False}


def nothing_runs_what_it_is_given(file: File) -> Iterator[str]:
    """No shell, no pickle, no YAML, no eval, and no TLS without a look at the certificate."""
    for line, name in imports(file):
        if any(is_in(name, unsafe) for unsafe in RUNS_WHAT_IT_IS_GIVEN):
            yield file.at(line, f"imports {name}")
    for node, name in dotted_names(file):
        if name in RUNS_WHAT_IT_IS_GIVEN:
            yield file.at(node, f"uses {name}")
    for found in ast.walk(file.tree):
        if not isinstance(found, ast.Call):
            continue
        if isinstance(found.func, ast.Name) and found.func.id in RUNNING_BUILTINS:
            yield file.at(found, f"{found.func.id}() runs what it is given")
        for keyword in found.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if keyword.arg in UNSAFE_KEYWORDS and value is UNSAFE_KEYWORDS[keyword.arg]:
                yield file.at(found, f"{keyword.arg}={value}")
            if keyword.arg == "cert_reqs":
                yield file.at(found, "cert_reqs is for the client's own default")


# --- what belongs in queries/ -----------------------------------------------------------------

# Prose begins with words too: "Select a case from the list", "CREATE TABLE takes no lock". So the
# keywords must have one case, and the shape of a statement must follow.
SQL = re.compile(
    r"""\s* (?: --[^\n]*\n\s* | /\*.*?\*/\s* )*
    (?: SELECT\s .*? \bFROM\b
      | select\s+ (?: [^.]*? [*(,] .*? \bfrom\b | [\w.]+\s+from\s+[\w.]+\s*(?: ;|$|\n|where\b ) )
      | COPY\s+ (?: \(.*\) | \S+ ) \s+ (?: TO | FROM )\s+ ['?$:{A-Z]
      | copy\s+ (?: \(.*\) | \S+ ) \s+ (?: to | from )\s+ ['?$:{]
      | (?i: with\s+ (?: recursive\s+ )? \w+ \s* (?: \([^()]*\)\s* )?
             as\s+ (?: (?: not\s+ )? materialized\s* )? \(
           | create\s+ (?: or\s+replace\s+ )? (?: temp(?:orary)?\s+ | unlogged\s+ )?
             (?: table | view | macro )\s+ (?: if\s+not\s+exists\s+ )? \S+ \s* (?: \( | as\b )
           | insert\s+into\s+ \S+ \s* (?: \( | select\b | values\b | by\s+name\b )
           | delete\s+from\s+ \S+ \s* (?: ;|$|where\b )
           | update\s+ \S+ \s+set\s+ \S+ \s*= ) )""",
    re.VERBOSE | re.DOTALL,
)


def written_text(node: ast.AST) -> str | None:
    """The text of a string expression, with `{}` for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(written_text(value) or "{}" for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = written_text(node.left), written_text(node.right)
        return None if left is None and right is None else f"{left or '{}'}{right or '{}'}"
    return None


def python_holds_no_sql(file: File) -> Iterator[str]:
    """Documentation strings and patterns given to `re` may show SQL."""
    spared: set[int] = set()
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Expr):
            spared.add(id(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            spared.update(id(part) for argument in node.args for part in ast.walk(argument))
    found: set[int] = set()
    for node in ast.walk(file.tree):
        if isinstance(node, ast.expr) and id(node) not in spared and node.lineno not in found:
            text = written_text(node)
            if text is not None and SQL.match(text):
                found.add(node.lineno)
                start = " ".join(text.split())[:40]
                yield file.at(node, f"SQL belongs in queries/: {start!r}")


def every_query_says_what_it_is(file: File) -> Iterator[str]:
    header: list[str] = []
    for line in file.text.splitlines():
        if not line.startswith("--"):
            break
        header.append(line)
    for key in ("title", "source", "columns"):
        if not any(re.search(rf"^--\s*(?:.*\s\s)?{key}:\s*\S", line) for line in header):
            yield file.at(1, f"its first comment lines have no `{key}:`")


# --- size and names ---------------------------------------------------------------------------


def nothing_is_too_long(file: File) -> Iterator[str]:
    lines = len(file.text.splitlines())
    if lines > LIMIT_OF_MODULE:
        yield file.at(LIMIT_OF_MODULE + 1, f"{lines} lines in one module")
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LIMIT_OF_FUNCTION:
                yield file.at(node, f"{node.name} has {length} lines")


EMPTY_WORDS = frozenset("util utils utility utilities helper helpers manager managers".split())


def names_say_what_is_inside(file: File) -> Iterator[str]:
    def empty(name: str) -> bool:
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
        return not EMPTY_WORDS.isdisjoint(word.lower() for word in words)

    for part in file.module.split(".")[1:]:
        if empty(part):
            yield file.at(1, f"a module named {part}")
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ClassDef) and empty(node.name):
            yield file.at(node, f"a class named {node.name}")


# --- the rules, each with what it must catch and what it must let pass ------------------------

Planted = tuple[str, str, int]  # path below the package, text, line of the violation


@dataclass(frozen=True)
class Rule:
    check: Check
    caught: tuple[Planted, ...]
    allowed: tuple[tuple[str, str], ...] = ()
    suffix: str = "py"


LONG_FUNCTION = "def f():\n" + "    pass\n" * LIMIT_OF_FUNCTION
HEADER = "-- title: Errors\n-- source: duckdb   params: none\n-- columns: n\nSELECT 1\n"

RULES: dict[str, Rule] = {
    "model and errors import the standard library only": Rule(
        each_file(core_imports_the_standard_library_only),
        caught=(
            ("model.py", "import json\nimport msgspec\n", 2),
            ("model.py", "def f():\n    from pandas import DataFrame\n", 2),
            ("errors.py", "from .model import Case\n", 1),
            ("model/case.py", "from incident_rca.window import parse_window\n", 1),
        ),
        allowed=(
            ("model.py", "from collections.abc import Mapping\nimport hashlib\n"),
            ("model/case.py", "from incident_rca.model.words import System\n"),
            ("window.py", "from incident_rca.model import TimeWindow\n"),
        ),
    ),
    "pure rooms import nothing that acts": Rule(
        each_file(pure_rooms_import_nothing_that_acts),
        caught=(
            ("formats/otlp.py", "import gzip\nimport boto3.session\n", 2),
            ("formats/otlp.py", "from incident_rca.report import markdown\n", 1),
            ("analysis/locks.py", "def f():\n    from incident_rca import settings\n", 2),
            ("analysis/__init__.py", "from ..case import read_case\n", 1),
            ("analysis/locks.py", "from ..formats import otlp\n", 1),
            ("report/html.py", "from incident_rca.pipeline import analyse_case\n", 1),
            ("migrations/lint.py", "from incident_rca.sources import table_sizes\n", 1),
            ("whatif/replay.py", "from incident_rca.pipeline import build_tables\n", 1),
            ("report/html.py", "import importlib\nimportlib.import_module('psycopg')\n", 2),
        ),
        allowed=(
            ("analysis/locks.py", "from incident_rca.model import Case\nimport pandas as pd\n"),
            ("analysis/locks.py", "from incident_rca.casefold import x\nfrom . import gateway\n"),
            ("sources/postgres.py", "import psycopg\nfrom incident_rca.settings import Settings\n"),
        ),
    ),
    "nobody imports the command line": Rule(
        each_file(nobody_imports_the_command_line),
        caught=(
            ("report/html.py", "from incident_rca.cli import app\n", 1),
            ("pipeline.py", "from . import cli\n", 1),
        ),
        allowed=(
            ("__main__.py", "from incident_rca.cli import main\n"),
            ("cli/run.py", "from incident_rca.cli.windows import window_of\n"),
            ("pipeline.py", "import incident_rca.clients\n"),
        ),
    ),
    "every module of a listing room is listed": Rule(
        every_module_is_listed,
        caught=(("formats/otlp.py", "KIND = 'otlp'\n", 1),),
        allowed=(("formats/__init__.py", "NAMES = ('access_log', 'otlp')\n"),),
    ),
    "time and environment are arguments": Rule(
        each_file(time_and_environment_are_arguments),
        caught=(
            ("case.py", "from datetime import UTC, datetime\nnow = datetime.now(UTC)\n", 2),
            ("case.py", "import datetime as dt\nf = dt.datetime.utcnow\n", 2),
            ("case.py", "from datetime import date\nday = date.today()\n", 2),
            ("case.py", "from time import time as clock\nnow = clock()\n", 2),
            ("case.py", "import pandas as pd\nnow = pd.Timestamp.now()\n", 2),
            ("report/html.py", "import os\n\nhome = os.environ['HOME']\n", 3),
            ("report/html.py", "from os import getenv\nhome = getenv('HOME')\n", 2),
        ),
        allowed=(
            ("cli/run.py", "from datetime import UTC, datetime\nnow = datetime.now(UTC)\n"),
            ("settings.py", "import os\nhome = os.environ.get('HOME')\n"),
            ("case.py", "import time\nfrom datetime import datetime\nstart = time.monotonic()\n"),
            ("case.py", "def f(clock):\n    return clock.now()\n"),
        ),
    ),
    "only the command line talks or exits": Rule(
        each_file(only_the_command_line_talks_or_exits),
        caught=(
            ("pipeline.py", "def f():\n    print('done')\n", 2),
            ("pipeline.py", "from sys import stderr\nstderr.write('x')\n", 2),
            ("pipeline.py", "import sys\nsys.exit(1)\n", 2),
            ("pipeline.py", "raise SystemExit(3)\n", 1),
            ("pipeline.py", "raise SystemExit\n", 1),
            ("report/terminal.py", "import typer\ntyper.echo('x')\n", 2),
            ("sources/postgres.py", "answer = input('password: ')\n", 1),
        ),
        allowed=(
            ("cli/run.py", "import sys\nprint('x')\nsys.exit(1)\n"),
            ("__main__.py", "raise SystemExit(main())\n"),
            ("pipeline.py", "def f(console):\n    console.print('x')\n"),
        ),
    ),
    "nothing runs what it is given": Rule(
        each_file(nothing_runs_what_it_is_given),
        caught=(
            ("case.py", "import json\nimport pickle\n", 2),
            ("case.py", "def f(p):\n    from yaml import safe_load\n", 2),
            ("sources/a.py", "import os\nos.system('ls')\n", 2),
            ("sources/a.py", "import subprocess as s\n\ns.getoutput('ls')\n", 3),
            ("formats/a.py", "value = eval('1')\n", 1),
            ("formats/a.py", "import pandas as pd\n\nx = pd.read_pickle('a')\n", 3),
            ("formats/a.py", "def f(np):\n    return np.load('a', allow_pickle=True)\n", 2),
            ("sources/a.py", "def f(run):\n    run('ls', shell=True)\n", 2),
            ("sources/a.py", "def f(client):\n    client('logs', verify=False)\n", 2),
            ("sources/a.py", "def f(p):\n    p.PoolManager(cert_reqs='CERT_NONE')\n", 2),
            ("sources/a.py", "import ssl\nx = ssl._create_unverified_context()\n", 2),
        ),
        allowed=(
            ("whatif/a.py", "from incident_rca.whatif.exports.yaml import block\n"),
            ("formats/a.py", "import re\np = re.compile('x')\n"),
            ("report/a.py", "def f(template):\n    template.compile('x')\n"),
            ("sources/a.py", "import subprocess\nsubprocess.run(['ls', '-l'])\n"),
            ("sources/a.py", "def f(client):\n    client('logs', verify=True)\n"),
        ),
    ),
    "Python holds no SQL": Rule(
        each_file(python_holds_no_sql),
        caught=(
            ("case.py", "q = 'SELECT a, b FROM t'\n", 1),
            ("case.py", "q = 'select count(*) from t'\n", 1),
            ("case.py", "q = 'select a from t where a > 1'\n", 1),
            ("case.py", "q = '''\n  -- why\n  WITH x AS (\n SELECT 1) TABLE x'''\n", 1),
            ("case.py", "\nq = f'CREATE OR REPLACE TABLE {name} AS FROM x'\n", 2),
            ("case.py", "q = f\"COPY {name} TO '{path}' (FORMAT parquet)\"\n", 1),
            ("case.py", "q = 'COPY (' + inner + ') TO ?'\n", 1),
            ("case.py", "q = 'INSERT INTO t VALUES (?)'\n", 1),
            ("case.py", "q = 'SELECT a ' + 'FROM t'\n", 1),
        ),
        allowed=(
            ("redact.py", "'''SELECT a FROM t'''\ndef f():\n    '''SELECT a FROM t'''\n"),
            ("redact.py", "import re\np = re.compile(r'SELECT .* FROM')\n"),
            ("redact.py", "p = r'(?i)\\bSELECT\\s+.*\\sFROM'\n"),
            ("analysis/a.py", "s = 'CREATE INDEX CONCURRENTLY does not block writes'\n"),
            ("analysis/a.py", "s = 'CREATE TABLE takes no lock that others wait for'\n"),
            ("cli/a.py", "s = 'Select a case from the list, or name one'\n"),
            ("cli/a.py", "s = 'copy the files to the case folder'\n"),
            ("cli/a.py", "s = 'with the pool full, as (perhaps) before'\n"),
        ),
    ),
    "nothing is too long": Rule(
        each_file(nothing_is_too_long),
        caught=(
            ("case.py", "x = 1\n" * (LIMIT_OF_MODULE + 1), LIMIT_OF_MODULE + 1),
            ("case.py", f"import os\n{LONG_FUNCTION}", 2),
            ("case.py", f"async {LONG_FUNCTION}", 1),
        ),
        allowed=(
            ("case.py", "x = 1\n" * LIMIT_OF_MODULE),
            ("case.py", LONG_FUNCTION.removesuffix("    pass\n")),
        ),
    ),
    "names say what is inside": Rule(
        each_file(names_say_what_is_inside),
        caught=(
            ("utils.py", "", 1),
            ("analysis/lock_helpers.py", "", 1),
            ("case.py", "\nclass CaseManager:\n    pass\n", 2),
        ),
        allowed=(("case.py", "from contextlib import AbstractContextManager\n"),),
    ),
    "every query says what it is": Rule(
        each_file(every_query_says_what_it_is),
        caught=(
            ("a.sql", HEADER.replace("-- columns: n\n", ""), 1),
            ("a.sql", "\n" + HEADER, 1),
            ("a.sql", HEADER.replace("Errors", ""), 1),
            ("a.sql", "SELECT 1\n" + HEADER, 1),
        ),
        allowed=(
            ("a.sql", HEADER),
            ("a.sql", "-- source: duckdb   title: Errors   columns: n\nSELECT 1\n"),
        ),
        suffix="sql",
    ),
}


def files_of(suffix: str) -> list[File]:
    folder = ROOT / (PACKAGE if suffix == "py" else "queries")
    return [
        File(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob(f"*.{suffix}"))
    ]


@pytest.mark.parametrize("name", RULES)
def test_the_rule_holds(name: str) -> None:
    rule = RULES[name]
    violations = list(rule.check(files_of(rule.suffix)))
    assert not violations, "\n".join([f"{name}:", *violations])


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        pytest.param(name, planted, id=f"{name}-{number}")
        for name, rule in RULES.items()
        for number, planted in enumerate(rule.caught, 1)
    ],
)
def test_the_rule_catches(name: str, planted: Planted) -> None:
    path, text, line = planted
    violations = RULES[name].check([File(f"{PACKAGE}/{path}", text)])
    assert {v.split(": ")[0] for v in violations} == {f"{PACKAGE}/{path}:{line}"}


@pytest.mark.parametrize("name", RULES)
def test_the_rule_lets_look_alikes_pass(name: str) -> None:
    rule = RULES[name]
    for path, text in rule.allowed:
        assert list(rule.check([File(f"{PACKAGE}/{path}", text)])) == [], text


def test_a_listed_module_passes_and_its_own_name_does_not_list_it() -> None:
    listing = File(f"{PACKAGE}/formats/__init__.py", "from . import otlp\n")
    module = File(f"{PACKAGE}/formats/otlp.py", "KIND = 'otlp'\n")
    assert list(every_module_is_listed([listing, module])) == []
    lazy = File(f"{PACKAGE}/formats/__init__.py", "FORMATS = ('incident_rca.formats.otlp:read',)\n")
    assert list(every_module_is_listed([lazy, module])) == []


# --- what --help loads: seen in a process of its own ------------------------------------------

# Notes who asks for a heavy module first: the nearest module on the stack that is none of Python's
# import machinery, and nearer still if it is one of ours.
PROBE = """
import io, json, sys
module, package, heavy, arguments = json.loads(sys.argv[1])
pulled = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root in heavy and root not in pulled:
            asking, frame = [], sys._getframe(1)
            while frame is not None:
                asked_in = frame.f_globals.get("__name__", "")
                if "importlib" not in asked_in:
                    asking.append(f"{asked_in}:{frame.f_lineno}")
                frame = frame.f_back
            ours = [a for a in asking if a.startswith(package)]
            pulled[root] = (ours or asking)[0]
        return None

sys.meta_path.insert(0, Watch())
sys.argv = ["incident-rca", *arguments]
stdout, sys.stdout = sys.stdout, io.StringIO()
imported = __import__(module, fromlist=["exit_code"])
if arguments:
    code = imported.exit_code()
    assert not code, f"--help ended with {code}"
    assert sys.stdout.getvalue(), "--help printed nothing"
loaded = [name for name in heavy if name in sys.modules]
stdout.write(json.dumps({name: pulled.get(name, "?") for name in loaded}))
"""


def heavy_modules_loaded(
    module: str, arguments: Sequence[str], *, package: str = PACKAGE, folder: Path = ROOT
) -> list[str]:
    asked = json.dumps([module, package, HEAVY, list(arguments)])
    done = subprocess.run(
        [sys.executable, "-c", PROBE, asked], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [f"{name}, pulled by {by}" for name, by in json.loads(done.stdout).items()]


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["import", "help"])
def test_the_command_line_starts_light(arguments: Sequence[str]) -> None:
    assert heavy_modules_loaded(f"{PACKAGE}.cli", arguments) == []


def test_a_heavy_module_is_caught_and_traced(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("import duckdb\n")
    (tmp_path / "duckdb.py").write_text("")
    (tmp_path / "planted_room.py").write_text("\nimport pandas\n")
    (tmp_path / "planted.py").write_text(
        "def exit_code():\n    import planted_room\n    print('usage')\n    return 0\n"
    )
    found = heavy_modules_loaded("planted", ["--help"], package="planted", folder=tmp_path)
    assert found == ["duckdb, pulled by planted_room:2", "pandas, pulled by planted_room:2"]
    assert heavy_modules_loaded("planted", [], package="planted", folder=tmp_path) == []
