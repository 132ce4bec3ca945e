"""Which functions give each row a value of its own; tests compare it with pg_proc."""

from __future__ import annotations

# provolatile = 'v' in pg_proc, as far as anyone would write them in a default; then those of the
# extensions uuid-ossp and pgcrypto.
_VOLATILE = frozenset(
    """
    random random_normal clock_timestamp timeofday nextval setval lastval currval
    gen_random_uuid uuidv4 uuidv7 pg_sleep pg_notify query_to_xml
    """.split()
)
_VOLATILE_OF_EXTENSIONS = frozenset(
    "uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 gen_random_bytes gen_salt".split()
)
# provolatile = 'i' or 's' for every function of this name in pg_catalog.
_FIXED = frozenset(
    """
    now transaction_timestamp statement_timestamp date_trunc date_part make_date make_interval
    make_timestamp make_timestamptz to_timestamp to_date to_char age timezone extract
    lower upper trim btrim ltrim rtrim concat concat_ws replace substr substring md5 repeat left
    right lpad rpad format length char_length position strpos split_part encode decode
    jsonb_build_object jsonb_build_array json_build_object json_build_array to_json to_jsonb
    row_to_json array_fill string_to_array array_append array_cat jsonb_set
    abs ceil ceiling floor round trunc mod power sqrt greatest least int4 int8 float8
    current_setting current_database current_schema pg_backend_pid inet_client_addr version
    nullif coalesce point box int4range int8range numrange tsrange tstzrange daterange to_tsvector
    """.split()
)


def is_volatile(name: str) -> bool:
    """Whether a function is known to give each row a value of its own."""
    return name in _VOLATILE or name.rpartition(".")[2] in _VOLATILE_OF_EXTENSIONS


def is_fixed(name: str) -> bool:
    """Whether a function is known to give all rows of one statement the same value."""
    return name in _FIXED


def known() -> tuple[frozenset[str], frozenset[str]]:
    """The functions of pg_catalog that are known as volatile, and as fixed."""
    return _VOLATILE, _FIXED
