"""Files as their statements: places, what is passed over, what is refused, what is not lost."""

from __future__ import annotations

import random

import pytest

from incident_rca.migrations.bodies import statements_inside
from incident_rca.migrations.grammar import TOO_DEEP, Unreadable
from incident_rca.migrations.lint import lint_text
from incident_rca.migrations.operations import CreateIndex, Relation, ResetSession
from incident_rca.migrations.plpgsql import body_statements
from incident_rca.migrations.script import Place, read_script

BROKEN = "ALTER TABEL orders ADD COLUMN a int"
PIECES = (
    "CREATE INDEX a ON orders (id)",
    "ALTER TABLE orders ADD COLUMN é text DEFAULT ';'",
    "/* a ; comment /* nested ; */ */ SELECT 'it''s; so'",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
    "DO $x$ BEGIN PERFORM 1; END $x$",
    'SELECT $$;$$, E\'\\\';\', "a;b" FROM (SELECT 1 AS "a;b") x',
    "-- a comment; with a semicolon\nDROP INDEX a",
)


def placed(text: str, line: int, column: int) -> str:
    """The text from a place on: computed from the lines, as an editor does."""
    return text.split("\n")[line - 1][column - 1 :]


@pytest.mark.parametrize("seed", range(30))
def test_statements_stand_where_an_editor_finds_them(seed: int) -> None:
    """Shuffled, with other gaps, and once in two with a broken statement among them."""
    rng = random.Random(seed)
    chosen = rng.sample(PIECES, len(PIECES))
    if seed % 2:
        chosen.insert(rng.randrange(len(chosen)), BROKEN)
    text = "".join(rng.choice(["", "\n", "  ", "\r\n", "\t"]) + piece + ";" for piece in chosen)
    script = read_script(text)
    assert len(script.statements) == len(PIECES)
    assert len(script.not_checked) == seed % 2
    shown = text.replace("\r\n", "\n")
    for statement in script.statements:
        first = statement.text.split("\n")[0]
        assert placed(shown, statement.start.line, statement.start.column).startswith(first)
    for missed in script.not_checked:
        assert placed(shown, missed.start.line, missed.start.column).startswith("TABEL")


def test_an_open_quote_hides_the_statement_it_is_in_and_no_other() -> None:
    text = "SELECT 1;\nINSERT INTO a VALUES ('it's');\nCREATE INDEX i ON a (b);\nSELECT 2;\n"
    script = read_script(text)
    assert [s.start.line for s in script.statements] == [1, 3, 4]
    assert [n.start.line for n in script.not_checked] == [2]


@pytest.mark.parametrize("sign", ["{", "\x00", "\ufffd", "\\", "😀", "'", "$a$", "/*", "("])
def test_a_stray_sign_hides_no_other_statement(sign: str) -> None:
    text = f"DROP TABLE a;\nDROP TABLE b {sign} c;\nDROP TABLE d;\nDROP TABLE e;\n"
    script = read_script(text)
    found = [s.start.line for s in script.statements]
    assert [line for line in found if line != 2] == [1, 3, 4]
    assert [n.start.line for n in script.not_checked] == [2]


@pytest.mark.parametrize(
    "deep",
    [
        "SELECT " + " + ".join(["1"] * 300),
        "ALTER TABLE a ADD CHECK (" + " || ".join(["b"] * 120) + " = 'x')",
        "SELECT " + "(SELECT " * 60 + "1" + ")" * 60,
        "DO $$ BEGIN " + "IF true THEN " * 400 + "NULL;" + " END IF;" * 400 + " END $$",
    ],
    ids=["sum", "check", "subquery", "block"],
)
def test_what_is_nested_deeply_hides_no_other_statement(deep: str) -> None:
    report = lint_text(f"DROP INDEX a;\n{deep};\nDROP INDEX b;\n")
    found = [f.start.line for f in report.findings if f.rule.startswith("drop-index")]
    assert found == [1, 3]
    assert [(n.start.line, n.reason) for n in report.not_checked] == [(2, TOO_DEEP)]


def _filling(piece: str, last: str = "", size: int = 1_000_000) -> str:
    """A megabyte of one piece after the other, with as many of what closes it."""
    number = size // len(piece + last)
    return f"{piece * number}1{last * number}"


@pytest.mark.parametrize(
    "deep",
    [
        "SELECT " + _filling("a+"),
        "INSERT INTO t VALUES ('x', " + "'x'||" * 200_000 + "'x')",
        "SELECT " + _filling("(", ")"),
        "SELECT " + _filling("CASE WHEN a THEN ", " END"),
        "SELECT " + _filling("(SELECT ", ")"),
        "SELECT " + _filling("NOT "),
        "SELECT 1" + "::int" * 200_000,
        "SELECT " + _filling("ARRAY[", "]"),
        "SELECT a" + ' COLLATE "C"' * 80_000,
        "SELECT a, b FROM t " + "UNION SELECT a, b FROM t " * 40_000,
        "SELECT 1 FROM t " + "JOIN t ON a AND b " * 50_000,
        "SELECT 1 FROM t WHERE a AND " + "f(b, " * 4_000 + _filling("1+") + ")" * 4_000,
        "DO $$ BEGIN PERFORM " + _filling("1+") + "; END $$",
    ],
    ids=lambda deep: deep[:24],
)
def test_a_megabyte_of_one_tree_hides_no_other_statement(deep: str) -> None:
    report = lint_text(f"DROP INDEX a;\n{deep};\nDROP INDEX b;\n")
    found = [f.start.line for f in report.findings if f.rule.startswith("drop-index")]
    assert found == [1, 3]
    (missed,) = report.not_checked
    assert missed.start.line == 2
    assert missed.reason == TOO_DEEP or "memory exhausted" in missed.reason


@pytest.mark.parametrize(
    "flat",
    [
        "SELECT a IN (" + _filling("1, ") + ")",
        "INSERT INTO t VALUES " + "('x' || 'y', 1 + 2), " * 40_000 + "('x', 1)",
        "SELECT 1 WHERE " + "a = 1 AND b = 2 OR " * 50_000 + "true",
        "SELECT CASE " + "WHEN a = 1 THEN b " * 50_000 + "END",
        "SELECT " + ", ".join(["a[1][2]", "CASE WHEN a THEN b END", "(1 + 2)::int"] * 20_000),
    ],
    ids=lambda flat: flat[:24],
)
def test_a_megabyte_of_a_list_is_read(flat: str) -> None:
    assert [s.start.line for s in read_script(f"{flat};\nDROP INDEX b;").statements] == [1, 2]


@pytest.mark.parametrize("links", [200, 200_000])
def test_a_text_that_is_put_together_of_many_is_not_known(links: int) -> None:
    report = lint_text("DO $$ BEGIN EXECUTE " + "'a'||" * links + "'b'; END $$;\nDROP INDEX b;")
    assert [n.start.line for n in report.not_checked] == [1]
    assert [f.start.line for f in report.findings if f.rule.startswith("drop-index")] == [2]


def test_psql_commands_are_passed_over_and_keep_every_place() -> None:
    text = (
        "\\set ON_ERROR_STOP on\n\\if :new\n  CREATE INDEX a ON orders (id);\n\\endif\n"
        "SELECT E'\\\\not a command'; \\echo done\nDROP INDEX a\\g\nDROP INDEX b;\n"
    )
    script = read_script(text)
    assert [(s.start.line, s.start.column) for s in script.statements] == [
        (3, 3),
        (5, 1),
        (6, 1),
        (7, 1),
    ]
    assert (script.passed_over, script.not_checked) == (5, ())


def test_a_new_connection_forgets_what_was_set() -> None:
    text = "SET lock_timeout = '5s';\n\\c other\nALTER TABLE orders ADD COLUMN a int;\n"
    assert ResetSession() in [s.operation for s in read_script(text).statements]
    assert [f.rule for f in lint_text(text).findings] == ["no-lock-timeout"]


def test_what_runs_elsewhere_is_said() -> None:
    script = read_script("\\i other.sql\nSELECT 'DROP TABLE a' \\gexec\nSELECT 1;\n")
    assert [n.reason for n in script.not_checked] == [
        "it includes another file: lint that too",
        "\\gexec runs what a query returns: not known here",
    ]
    assert len(script.statements) == 2


def test_data_of_copy_is_no_sql() -> None:
    text = "COPY orders (id, note) FROM stdin;\n1\tit's; DROP TABLE orders;\n\\.\nDROP INDEX a;\n"
    script = read_script(text)
    assert [s.start.line for s in script.statements] == [1, 4]
    assert script.not_checked == ()


@pytest.mark.parametrize(
    "before", ["", "-- Data for Name: orders\n", "/* data; */ ", "\\set a 1\n", "SELECT 1 \\g\n"]
)
def test_data_of_copy_is_found_behind_comments_and_commands(before: str) -> None:
    """As pg_dump writes it; arrays of arrays in it are no template."""
    data = "1\t{{1,2},{3,4}}\n2\tit's\n\\.\n"
    script = read_script(f"{before}COPY orders FROM stdin;\n{data}DROP INDEX a;\nSELEC 1;\n")
    assert script.refused == ""
    assert [s.text.partition(" ")[0] for s in script.statements][-2:] == ["COPY", "DROP"]
    assert [n.reason for n in script.not_checked] == ['syntax error at or near "SELEC"']


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("CREATE TABLE {{ name }} (a int);", "Jinja"),
        ("{% if large %}\nDROP TABLE a;\n{% endif %}", "Jinja"),
        ("ALTER TABLE ${schema}.orders ADD COLUMN a int;", "Flyway"),
        ("DROP TABLE <%= @table %>;", "ERB"),
    ],
)
def test_templates_are_refused_with_their_line(text: str, language: str) -> None:
    script = read_script(f"SELECT 1;\n{text}")
    assert script.statements == ()
    assert language in script.refused
    assert script.refused.startswith("line 2: this is a template (")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '{{1,2}}'::int[];",
        "-- {{ a comment }}\nSELECT 1;",
        "DO $$ BEGIN RAISE NOTICE '${x}'; END $$;",
        "SELECT 'a' <% 'b';",
    ],
)
def test_what_looks_like_a_template_is_read(text: str) -> None:
    """Also when another statement of the file is broken."""
    assert len(read_script(text).statements) == 1
    script = read_script(f"{text}\nSELEC 1;")
    assert (len(script.statements), script.refused) == (1, "")


def test_a_variable_of_psql_is_the_reason() -> None:
    (missed,) = read_script("ALTER TABLE :schema.orders ADD COLUMN a int;").not_checked
    assert missed.reason == "it has the psql variable :schema"


# --- inside DO blocks and functions -----------------------------------------------------------

BODY = """SELECT 1;
DO $body$
DECLARE r record;
BEGIN
    FOR r IN SELECT 1 LOOP
        IF true THEN
            CREATE INDEX a ON orders (id);
        ELSE
            NULL; EXECUTE 'CREATE INDEX b ON orders (id)';
        END IF;
    END LOOP;
    EXECUTE format('CREATE INDEX %I ON orders (id)', 'c');
    EXECUTE 'DROP TABLE ' || r;
EXCEPTION WHEN others THEN
    CREATE INDEX d ON orders (id);
END
$body$;
"""


def test_statements_inside_do_stand_in_the_file() -> None:
    block = read_script(BODY).statements[1]
    inside, missed = statements_inside(block)
    indexes = [s for s in inside if isinstance(s.operation, CreateIndex)]
    names = {s.operation.name: s for s in indexes if isinstance(s.operation, CreateIndex)}
    assert sorted(names) == ["%I", "a", "b", "d"]
    assert names.pop("%I").start == Place(12, 5)
    for name, statement in names.items():
        rest = placed(BODY, statement.start.line, statement.start.column)
        assert rest.startswith(f"CREATE INDEX {name} ON orders (id)")
    assert [n.start.line for n in missed] == [13]
    assert all(s.within == Place(2, 1) for s in inside)


def test_statements_of_one_long_line_stand_where_they_are() -> None:
    one = "CREATE INDEX ON a (b);"
    text = f"DO $$ BEGIN {one * 100} EXECUTE 'DROP INDEX c'; END $$;"
    found = lint_text(f"SET lock_timeout = 1;{text}").findings
    columns = [f.start.column for f in found if f.rule == "index-without-concurrently"]
    begin = len("SET lock_timeout = 1;DO $$ BEGIN ") + 1
    assert columns == [begin + number * len(one) for number in range(100)]
    (drop,) = [f for f in found if f.rule == "drop-index-without-concurrently"]
    assert drop.start.column == begin + 100 * len(one) + len(" EXECUTE '")


def test_a_temporary_table_of_select_into_is_not_the_table_of_its_name() -> None:
    index = "CREATE INDEX a ON public.orders (id);"
    text = f"SET lock_timeout = '5s';\nSELECT * INTO TEMP orders FROM orders;\n{index}"
    assert [f.rule for f in lint_text(text).findings] == ["index-without-concurrently"]


def test_a_name_that_is_filled_in_is_never_a_new_table() -> None:
    create = "EXECUTE format('CREATE TABLE %I (a int)', one);"
    index = "EXECUTE format('CREATE INDEX ON %I (a)', two);"
    text = f"SET lock_timeout = '5s';\nDO $$ BEGIN {create} {index} END $$;"
    assert [f.rule for f in lint_text(text).findings] == ["index-without-concurrently"]


def test_code_in_other_languages_is_said_not_to_be_checked() -> None:
    report = lint_text("DO LANGUAGE plpython3u $$ plpy.execute('DROP TABLE a') $$;")
    assert [n.reason for n in report.not_checked] == ["its code is in plpython3u"]


def test_a_function_of_sql_is_read_when_it_is_called() -> None:
    text = (
        "SET lock_timeout = '5s';\n"
        "CREATE PROCEDURE p() LANGUAGE sql AS $$\n    CREATE INDEX a ON orders (id);\n$$;\n"
    )
    assert lint_text(text).findings == ()
    (found,) = lint_text(f"{text}CALL p();\n").findings
    assert (found.rule, found.start) == ("index-without-concurrently", Place(3, 5))


@pytest.mark.parametrize("kind", ["trigger", "event_trigger"])
def test_a_function_of_a_trigger_is_no_obstacle(kind: str) -> None:
    """No statement calls it; the grammar gives its code in no form that can be read."""
    code = "BEGIN CREATE INDEX a ON orders (id); new.a := 1; RETURN new; END"
    text = f"CREATE FUNCTION f() RETURNS {kind} LANGUAGE plpgsql AS $$ {code} $$;\nDROP INDEX b;"
    report = lint_text(f"SET lock_timeout = '5s';\n{text}")
    assert [f.rule for f in report.findings] == ["drop-index-without-concurrently"]
    assert (report.statements, report.not_checked) == (3, ())


def test_code_that_the_grammar_gives_in_no_readable_form_is_unreadable() -> None:
    """It does so for triggers' functions; when it no longer does, this may go."""
    function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$"
    assert isinstance(body_statements(function), Unreadable)


def test_names_are_kept_as_they_are_written() -> None:
    (found,) = lint_text(
        "SET lock_timeout = '5s';\n"
        'CREATE INDEX "My Idx" ON "My Schema"."Order.Items" USING gin (a) WHERE b;'
    ).findings
    assert found.relation == '"My Schema"."Order.Items"'
    assert found.rewrite == (
        'CREATE INDEX CONCURRENTLY "My Idx" ON "My Schema"."Order.Items" USING gin (a) WHERE b;',
    )


def test_keywords_are_quoted() -> None:
    text = 'SET lock_timeout = \'5s\';\nALTER TABLE "order" ALTER COLUMN "user" SET NOT NULL;'
    (found,) = lint_text(text).findings
    assert lint_text("\n".join(found.rewrite)).not_checked == ()
    assert str(Relation("select", "s")) == 's."select"'


def test_many_statements_are_all_judged() -> None:
    """How long that takes `make bench` says."""
    text = "".join(
        f"SET lock_timeout = '{n + 1}s';\nCREATE INDEX i{n} ON orders (a);\n"
        f"ALTER TABLE orders ADD CONSTRAINT c{n} CHECK (a > {n});\nUPDATE orders SET a = 1;\n"
        for n in range(2500)
    )
    report = lint_text(text)
    assert report.statements == 10_000
    assert len(report.findings) == 5_000


def test_a_column_is_counted_in_characters() -> None:
    (first, second) = read_script("SELECT 'äö€😀'; SELECT 2").statements
    assert (first.start, first.end) == (Place(1, 1), Place(1, 14))
    assert second.start == Place(1, 16)
