"""What an analysis needs and no redaction may take: routes, lock modes, relations, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

# Names that sound like secrets are among them: there the mistakes are made.
SEGMENTS = (
    *("orders", "inventory", "users", "password", "token", "tokens", "secrets", "sessions", "auth"),
    *("api-keys", "credentials", "oauth2", "login", "reset", "v1", "v2", "cards", "emails", "ip"),
    *("{sku}", "{id}", "{userId}", "{token}", "{proxy+}", "cookie-consent", "signature", "jwt"),
)
VERBS = ("", "", "", ":cancel", ":revoke", ":resetPassword", ":batchGet", ":access")
SCHEMAS = ("", "", "public.", "auth.", "billing.", "sales_2026.")
RELATIONS = (
    *("stock_reservations", "orders", "order_items", "users", "user_credentials", "auth_token"),
    *("password_resets", "api_keys", "sessions", "session", "cookies", "secrets", "tokens", "t1"),
    *("cards", "emails", "ip_addresses", "oauth_access_token", "idx_2026_01_15", "orders_p2026w03"),
    *("orders_email_key", "users_pkey", "token_signature_idx", "pg_toast_16384", "a1b2c3d4"),
)
MODES = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"),
    *("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
_FORMATS = (
    *("%Y-%m-%d %H:%M:%S.%f UTC", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%H:%M:%S"),
    *("%d/%b/%Y:%H:%M:%S +0000", "%a, %d %b %Y %H:%M:%S GMT", "%Y%m%dT%H%M%SZ", "%H:%M", "%s"),
    *("%Y-%m-%d %H:%M:%S+00", "%Y%m%d%H%M%S"),
)

TEXTS = (
    "process 48291 still waiting for {mode} on relation 16402 of database 16384 after 1000.123 ms",
    "process 48291 acquired {mode} on transaction 8812345 after 29003.512 ms at {time}",
    "Process 48291 waits for {mode} on relation 16402 of database 16384; blocked by process 48300.",
    'canceling statement due to lock timeout while locking tuple (0,1) in relation "{relation}"',
    'relation "{relation}" does not exist',
    'null value in column "password" of relation "{relation}" violates not-null constraint',
    'duplicate key value violates unique constraint "{relation}"',
    'automatic vacuum of table "orders.{relation}": index scans: 0',
    "{time} [48291] LOG:  duration: 29003.512 ms",
    '{{"requestTime":"{time}","routeKey":"{method} {route}","status":"502"}}',
    "{method} {route} 502 29001 ms at {time}",
    "{method} {route}?page=2&limit=50 HTTP/1.1",
    "https://api.example.com{route}",
    "lock on {relation} ({mode}) from {time} to {time}",
    "({time}) Execution failed: Endpoint request timed out for {route}",
    "deployed {relation} at {time}; migration of {relation} began",
    "token bucket of {route} is empty since {time}",
    "authentication failed on {method} {route} at {time}",
    "{mode} requested on table {relation}, held since {time}",
    "grpc auth.Credentials/Verify UNAVAILABLE on {relation} at {time}",
)

STATEMENTS = (
    "SELECT * FROM {relation} WHERE id = 5",
    "UPDATE {relation} SET password = $1 WHERE token = $2",
    "LOCK TABLE {relation} IN ACCESS EXCLUSIVE MODE",
    "CREATE INDEX CONCURRENTLY ON {relation} (email)",
    'ALTER TABLE "{relation}" ADD COLUMN api_key text',
    "VACUUM (ANALYZE) {relation}",
    "INSERT INTO {relation} (secret, cookie) VALUES ($1, 'x')",
    "DELETE FROM {relation} USING {relation} r WHERE r.id = 7 -- cut off",
    "COPY {relation} FROM STDIN",
)


def drawn(rng: Random, field: str) -> str:
    """One name or time of a kind."""
    match field:
        case "route":
            parts = rng.sample(SEGMENTS, rng.randint(1, 4))
            return f"/{'/'.join(parts)}{rng.choice(VERBS)}"
        case "relation":
            return f"{rng.choice(SCHEMAS)}{rng.choice(RELATIONS)}"
        case "mode":
            return rng.choice(MODES)
        case "method":
            return rng.choice(METHODS)
    at = datetime(2026, 1, 15, tzinfo=UTC) + timedelta(seconds=rng.uniform(0, 10**7))
    return at.strftime(rng.choice(_FORMATS))
