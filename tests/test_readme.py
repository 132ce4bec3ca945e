"""Holds README.md to the program: commands, what they print, settings, tables and links."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from incident_rca.analysis.roles import DEPTH
from incident_rca.analysis.verdicts import WHEN
from incident_rca.cli import app
from incident_rca.errors import BadSettings
from incident_rca.formats import BY_KIND
from incident_rca.model import Kind, Role, Verdict
from incident_rca.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = "incident-rca"
ANY_LINES = "…"


# --- reading a document -----------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: the word behind its fence, the line of its first line, and its text."""

    info: str
    line: int
    text: str


@dataclass(frozen=True)
class Example:
    """A command of a console block, the line where it stands, and what must be printed."""

    command: str
    line: int
    printed: list[str]


def blocks(document: str, info: str | None = None) -> list[Block]:
    """The fenced blocks of a document with this info string, or all of them."""
    fences = re.finditer(r"^```(\S*)\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    found = [Block(f[1], document.count("\n", 0, f.start()) + 2, f[2]) for f in fences]
    return [block for block in found if info in (None, block.info)]


def examples(document: str) -> list[Example]:
    """The commands of all console blocks, in order; a trailing backslash continues a command."""
    found: list[Example] = []
    for block in blocks(document, "console"):
        for number, line in enumerate(block.text.splitlines(), start=block.line):
            if found and found[-1].command.endswith("\\") and not found[-1].printed:
                last = found.pop()
                found.append(Example(f"{last.command}\n{line}", last.line, []))
            elif line.startswith("$ "):
                found.append(Example(line.removeprefix("$ "), number, []))
            else:
                assert number > block.line, f"README.md:{number}: a console block without a command"
                found[-1].printed.append(line.rstrip())
    return found


def rows(document: str, heading: str) -> list[list[str]]:
    """The rows of the one table whose first column has this heading; none if there is no such."""
    tables = re.findall(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)*)", document, re.MULTILINE)
    assert len(tables) <= 1, f"README.md: {len(tables)} tables begin with `{heading}`"
    lines = "".join(tables).splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in lines]


def first_cells(heading: str) -> list[str]:
    """The first cells of that table of the README, sorted."""
    return sorted(row[0] for row in rows(README, heading))


def code(document: str) -> Iterator[str]:
    """Every piece of code in a document: the lines of its fenced blocks and its inline spans."""
    for block in blocks(document):
        yield from block.text.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```$", "", document))


# --- the console blocks -----------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    """What the commands of the README see: this environment's program, and no settings."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("INCIDENT_RCA", "XDG"))}
    return environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether the lines are the same; a lone `…` stands for any number of lines."""
    pattern = [r"(?:.*\n)*" if line == ANY_LINES else re.escape(f"{line}\n") for line in expected]
    return bool(re.fullmatch("".join(pattern), "".join(f"{line}\n" for line in printed)))


def drift(document: str, folder: Path) -> str:
    """Runs the console blocks of a document in a folder; what they print differently, or nothing.

    Blanks at the ends of lines do not count, as they cannot be seen. A command that is shown
    without any output must at least succeed.
    """
    differences = []
    for example in examples(document):
        done = subprocess.run(
            ["bash", "-c", example.command],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        wrong: list[str] = []
        if not matches(example.printed, printed):
            names = ("README.md", "printed")
            wrong += difflib.unified_diff(example.printed, printed, *names, lineterm="", n=1)
        if done.returncode and (wrong or not printed):
            wrong += [f"ended with {done.returncode}", done.stderr]
        if wrong:
            differences += [f"README.md:{example.line}: $ {example.command}", *wrong]
    return "\n".join(differences)


def test_every_command_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    assert examples(README), "README.md has no console block"
    differences = drift(README, tmp_path)
    assert not differences, f"README.md shows what the program does not print:\n{differences}"


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("$ echo one\ntwo", "-two\n+one"),
        ("$ echo one\none\ntwo", "-two"),
        ("$ printf 'one\\ntwo\\n'\none", "+two"),
        ("$ echo one\none\n\n$ echo two\ntwo", "README.md:2: $ echo one"),
        ("$ printf 'one\\ntwo\\n'\n…\none", "+two"),
        ("$ echo one\n…\nne", "+one"),
        ("$ echo one >&2\none", "-one"),
        ("$ echo 1.5\n1,5", "+1.5"),
        ("$ no-such-program", "ended with 127"),
        ("$ incident-rca demo --no-such-option", "ended with 2"),
    ],
)
def test_a_planted_drift_is_caught(tmp_path: Path, shown: str, told: str) -> None:
    assert told in drift(f"```console\n{shown}\n```\n", tmp_path)


@pytest.mark.parametrize(
    "shown",
    [
        "$ echo one\none\n$ echo two\ntwo",
        "$ echo one \\\n    two\none two",
        "$ printf 'one\\ntwo\\nthree\\n'\none\n…",
        "$ printf 'one\\ntwo\\nthree\\n'\none\n…\nthree",
        "$ echo one\n…\none\n…",
        "$ printf 'one\\n\\ntwo\\n'\none\n\ntwo",
        "$ echo one >&2",
        "$ echo 'one  '\none",
        "$ echo one; exit 3\none",
        "$ { echo one >&2; } 2>&1\none",
        "$ echo one > kept\n$ cat kept\none",
        "$ echo $COLUMNS $NO_COLOR $TERM $TZ; [ $HOME = $PWD ]\n100 1 dumb UTC",
    ],
)
def test_what_is_printed_as_shown_is_no_drift(tmp_path: Path, shown: str) -> None:
    assert drift(f"text\n\n```console\n{shown}\n```\n", tmp_path) == ""


def test_a_console_block_begins_with_a_command() -> None:
    with pytest.raises(AssertionError, match=r"README\.md:2: a console block without a command"):
        examples("```console\none\n```\n")


# --- settings and tables ----------------------------------------------------------------------


def test_every_toml_block_is_a_settings_file(tmp_path: Path) -> None:
    assert blocks(README, "toml"), "README.md shows no settings"
    for block in blocks(README, "toml"):
        path = tmp_path / "incident-rca.toml"
        path.write_text(block.text, encoding="utf-8")
        try:
            load_settings(config=path, environ={}, cwd=tmp_path, user_config_dir=tmp_path)
        except BadSettings as error:
            pytest.fail(f"README.md:{block.line}: these settings are refused: {error.message}")


def test_the_dependencies_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = sorted(re.split(r"[^\w.-]", entry)[0] for entry in project["dependencies"])
    assert first_cells("library") == needed, "README.md's dependencies are not pyproject.toml's"


def folders_of_the_project() -> list[str]:
    """The folders right below the root, with the package replaced by the rooms inside it."""
    # New files count before they are added; a checkout of another user is read as well.
    listing = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", *listing],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    files = [Path(name) for name in done.stdout.split("\0") if (ROOT / name).is_file()]
    top = {f"{file.parts[0]}/" for file in files if len(file.parts) > 1} - {"incident_rca/"}
    rooms = {
        f"incident_rca/{file.parts[1]}/"
        for file in files
        if len(file.parts) == 3 and file.match("incident_rca/*/__init__.py")
    }
    return sorted(top | rooms)


def test_the_layout_names_the_folders_that_exist() -> None:
    assert first_cells("folder") == folders_of_the_project(), "README.md's layout is not this one"


def test_the_verdicts_are_those_of_the_vocabulary() -> None:
    assert first_cells("verdict") == sorted(Verdict), "README.md's verdicts are not Verdict's"


def test_the_rule_of_verdicts_is_that_of_the_code() -> None:
    assert dict(rows(README, "verdict")) == WHEN, "README.md's rule is not that of verdicts.py"


def test_the_order_of_the_kinds_is_that_of_the_code() -> None:
    names = {
        "deadlock": Kind.DEADLOCK,
        "lock": Kind.LOCK_BLOCKING,
        "gateway configuration": Kind.GATEWAY_CONFIGURATION,
        "traffic": Kind.TRAFFIC_SURGE,
        "failing service": Kind.BACKEND_FAILURE,
        "slow service": Kind.DEPENDENCY_LATENCY,
    }
    (told,) = re.findall(r"is its trigger \(([^)]*), in\s+this order\)", README)
    kinds = [names[name] for name in re.split(r",\s+", told)]
    assert kinds == sorted(DEPTH, key=lambda kind: DEPTH[kind])


def test_the_roles_are_those_of_the_vocabulary() -> None:
    assert first_cells("role") == sorted(Role), "README.md's roles are not Role's"


def test_the_kinds_of_files_are_those_that_are_recognised() -> None:
    kinds = sorted(row[-1] for row in rows(README, "file"))
    assert kinds == sorted(BY_KIND), "README.md's kinds of files are not the formats that exist"


def test_a_table_is_read_by_its_first_heading() -> None:
    document = "| verdict | when |\n| --- | --- |\n| `weak` | one |\n| `none` | a |\n\n| a | b |\n"
    assert rows(document, "verdict") == [["weak", "one"], ["none", "a"]]
    assert rows(document, "when") == []


# --- commands ---------------------------------------------------------------------------------


def commands() -> dict[str, str]:
    """Every command of the program, such as `config show`, with its help text."""

    def walk(command: object, name: str) -> Iterator[tuple[str, str]]:
        inner: Mapping[str, object] = getattr(command, "commands", {})
        for word, below in inner.items():
            yield from walk(below, f"{name} {word}".strip())
        if not inner:
            yield name, str(getattr(command, "help", None) or "")

    return dict(walk(typer.main.get_command(app), ""))


COMMANDS = commands()


def named_commands(document: str) -> set[str]:
    """What stands behind the program's name in the document's code, as far as it is a command."""
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    found = set()
    for piece in code(document):
        for words in re.findall(rf"(?<![\w./-]){PROGRAM}((?: [a-z][a-z-]*)+)", piece):
            first, *more = words.split()
            found.add(" ".join([first, *more[:1]]) if first in groups else first)
    return found


def test_every_command_that_is_named_exists() -> None:
    unknown = sorted(named_commands(README) - COMMANDS.keys())
    assert not unknown, f"README.md names commands that do not exist: {unknown}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_named(name: str) -> None:
    assert name in named_commands(README), f"README.md does not name `{PROGRAM} {name}`"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    example = rf"^Example: {PROGRAM} {re.escape(name)}(?!\S)"
    text = COMMANDS[name]
    assert re.search(example, text, re.MULTILINE), f"the help of `{name}` has no Example: line"


def test_commands_are_found_in_code_only() -> None:
    document = (
        "incident-rca is a program, see `incident-rca.toml` and `src/incident-rca lists`.\n"
        "Run `incident-rca config show --json`, `incident-rca --help` or `incident-rca nothing`:\n"
        "```sh\nmake demo && incident-rca report CASE # and more\n```\n"
    )
    assert named_commands(document) == {"config show", "nothing", "report"}


# --- links ------------------------------------------------------------------------------------


def links(document: str) -> list[str]:
    """The targets of a document's links that lead to a file, without their anchors."""
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)", document)]
    return [target for target in targets if target and not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_relative_link_leads_somewhere(name: str) -> None:
    document = (ROOT / name).read_text(encoding="utf-8")
    broken = [target for target in links(document) if not (ROOT / target).exists()]
    assert not broken, f"{name} links to what does not exist: {broken}"


def test_links_are_found() -> None:
    document = "[a](b.md) ![c](d/e.svg#f) [g](https://h.i) [j](#k) [l](mailto:m@n)"
    assert links(document) == ["b.md", "d/e.svg"]
