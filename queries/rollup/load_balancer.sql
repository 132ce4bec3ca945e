-- title: The rollup of a load balancer's log: requests by second, path, statuses, what their error's type follows from, and latency bucket
-- source: duckdb; load_balancer.spark.sql and load_balancer.trino.sql are made from it (docs/make_rollup_sql.py). Fields: Elastic Load Balancing, "Access logs for your Application Load Balancer"
-- columns: kind, second, load_balancer, method, path, elb_status, target_status, action, error_reason, latency_bucket, requests
--
-- It reads two relations that each engine makes in its own way: `fields`, one row a line with its
-- `text`, and `asked`, one row with the seconds since 1970 of the window. How a line is understood is
-- that of queries/duckdb/load_balancer_requests.sql; kinds and buckets are those of access_log.sql, and
-- `unread_failure` is a line that has a status 5xx or 460 behind three durations. An error's type
-- follows from both statuses, `action` and `error_reason`: of the actions the one that decides is kept.
-- Paths beyond the 500 that matter are put together where the file is read: to find these here, Athena
-- would read the log twice, and charge for it.
--
-- Written as access_log.sql is, and besides: no [] on a list (out of its range it is an error in Spark
-- and Trino), no `$` (Java's stands before a last U+2028 as well), `\s`, `\d` and `.` (Trino's and Java's
-- know other characters), no text in place of a group (`\1` is `$1` in Java), and `\b` between ASCII only.
WITH clean AS (
    SELECT regexp_replace(coalesce(text, ''), '\r', ' ', 'g') AS text FROM fields
),
unescaped AS (
    SELECT text, replace(text, '\"', '''') AS quoted FROM clean
),
cut AS (
    SELECT
        text,
        quoted LIKE '%"%' AS has_request,
        split_part(quoted, '"', 1) AS plain,
        split_part(quoted, '"', 2) AS request,
        split_part(split_part(quoted, '"', 11), ' ', 3) AS created_in_place,
        -- A quote of its own in a user agent moves all pieces behind it.
        regexp_extract(text, '" [^ \t\n\f\r]+ ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z) "', 1) AS created_elsewhere,
        split_part(quoted, '"', 12) AS actions,
        split_part(quoted, '"', 16) AS reason
    FROM unescaped
),
named AS (
    SELECT
        *,
        split_part(plain, ' ', 1) AS protocol,
        split_part(plain, ' ', 2) AS answered,
        coalesce(split_part(plain, ' ', 3), '') AS load_balancer,
        split_part(plain, ' ', 6) AS took_1,
        split_part(plain, ' ', 7) AS took_2,
        split_part(plain, ' ', 8) AS took_3,
        split_part(plain, ' ', 9) AS of_balancer,
        split_part(plain, ' ', 10) AS of_target,
        split_part(request, ' ', 1) AS verb,
        regexp_extract(request, '^[^ \t\n\f\r]+ [a-z]+://[^/ ?]*(/[^? ;#]*)', 1) AS asked_path
    FROM cut
),
sane AS (
    SELECT
        *,
        CASE
            WHEN regexp_matches(answered, '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z\z')
            THEN answered
        END AS answered_at,
        CASE
            WHEN regexp_matches(created_in_place, '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z\z')
            THEN created_in_place
            WHEN regexp_matches(created_elsewhere, '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z\z')
            THEN created_elsewhere
        END AS created_at,
        CASE WHEN regexp_matches(took_1, '^[0-9]{1,6}([.][0-9]{1,6})?\z') THEN TRY_CAST(took_1 AS DOUBLE) END
            + CASE WHEN regexp_matches(took_2, '^[0-9]{1,6}([.][0-9]{1,6})?\z') THEN TRY_CAST(took_2 AS DOUBLE) END
            + CASE WHEN regexp_matches(took_3, '^[0-9]{1,6}([.][0-9]{1,6})?\z') THEN TRY_CAST(took_3 AS DOUBLE) END
            AS took_seconds,
        CASE WHEN regexp_matches(of_balancer, '^[1-5][0-9]{2}\z') THEN TRY_CAST(of_balancer AS BIGINT) END AS elb_status,
        CASE WHEN regexp_matches(of_target, '^[1-9][0-9]{2}\z') THEN of_target ELSE '-' END AS target_status,
        CASE WHEN regexp_matches(verb, '^[A-Za-z_-]{1,32}\z') THEN verb ELSE '-' END AS method,
        regexp_replace(
            regexp_replace(
                asked_path,
                '/([^/]*[0-9][^/]*[0-9][^/]*[0-9][^/]*|[^/]*(?:@|%40)[^/]*|[0-9]+[^ -~][^/]*|[^/]{41,})',
                '/{id}', 'g'
            ),
            '/[0-9]+\b', '/{id}', 'g'
        ) AS "path",
        CASE WHEN regexp_matches(reason, '^[A-Za-z0-9._-]{1,64}\z') THEN reason ELSE '-' END AS error_reason
    FROM named
),
timed AS (
    SELECT
        *,
        date_diff('day', CAST('1970-01-01' AS DATE), TRY_CAST(substr(answered_at, 1, 10) AS DATE)) * 86400000000
            + CAST(substr(answered_at, 12, 2) AS BIGINT) * 3600000000
            + CAST(substr(answered_at, 15, 2) AS BIGINT) * 60000000
            + CAST(substr(answered_at, 18, 2) AS BIGINT) * 1000000
            + CAST(substr(concat(regexp_extract(answered_at, '[.]([0-9]+)Z', 1), '000000'), 1, 6) AS BIGINT) AS answered_us,
        date_diff('day', CAST('1970-01-01' AS DATE), TRY_CAST(substr(created_at, 1, 10) AS DATE)) * 86400000000
            + CAST(substr(created_at, 12, 2) AS BIGINT) * 3600000000
            + CAST(substr(created_at, 15, 2) AS BIGINT) * 60000000
            + CAST(substr(created_at, 18, 2) AS BIGINT) * 1000000
            + CAST(substr(concat(regexp_extract(created_at, '[.]([0-9]+)Z', 1), '000000'), 1, 6) AS BIGINT) AS created_us,
        CASE WHEN took_seconds <= 1e6 THEN CAST(floor(took_seconds * 1e6 + 5e-1) AS BIGINT) END AS took_us
    FROM sane
),
arrived AS (
    SELECT
        *,
        CAST(floor(CAST(coalesce(created_us, answered_us - coalesce(took_us, 0)) AS DOUBLE) / 1e6) AS BIGINT) AS second,
        CAST(coalesce(
            took_us,
            CASE WHEN answered_us BETWEEN created_us AND created_us + 1000000000000 THEN answered_us - created_us END
        ) AS DOUBLE) / 1e3 AS latency_ms
    FROM timed
),
facts AS (
    SELECT
        *,
        protocol IN ('http', 'https', 'h2', 'grpcs', 'ws', 'wss') AND has_request
            AND second IS NOT NULL AND elb_status IS NOT NULL AS is_request,
        CASE
            WHEN target_status = '-' AND (actions = 'waf' OR actions LIKE '%,waf') THEN 'waf'
            WHEN elb_status = 401 AND target_status = '-' AND actions LIKE '%authenticate%' THEN 'authenticate'
            WHEN target_status = '-' AND (actions = 'fixed-response' OR actions LIKE '%,fixed-response') THEN 'fixed-response'
            ELSE '-'
        END AS action
    FROM arrived
),
placed AS (
    SELECT
        CASE
            WHEN is_request THEN 'request'
            WHEN regexp_matches(text, '( ([0-9]+[.][0-9]+|-1)){3} (5[0-9][0-9]|460) ') THEN 'unread_failure'
            ELSE 'unread'
        END AS kind,
        CASE WHEN is_request THEN second ELSE 0 END AS second,
        CASE WHEN is_request THEN load_balancer ELSE '-' END AS load_balancer,
        CASE WHEN is_request THEN method ELSE '-' END AS method,
        CASE WHEN is_request THEN coalesce(nullif("path", ''), '-') ELSE '-' END AS "path",
        CASE WHEN is_request THEN elb_status ELSE 0 END AS elb_status,
        CASE WHEN is_request THEN target_status ELSE '-' END AS target_status,
        CASE WHEN is_request AND elb_status >= 400 THEN action ELSE '-' END AS action,
        CASE WHEN is_request AND elb_status >= 400 THEN error_reason ELSE '-' END AS error_reason,
        CASE WHEN is_request AND latency_ms IS NOT NULL THEN
            CASE WHEN latency_ms <= 1e0 THEN 0 ELSE CAST(ceil(ln(latency_ms) / ln(1.02e0)) AS BIGINT) END
            ELSE -1 END AS latency_bucket
    FROM facts
    WHERE is_request OR regexp_matches(text, '[^ \t\n\f\r]')
)
SELECT
    kind, second, load_balancer, method, "path", elb_status, target_status, action, error_reason,
    latency_bucket, count(*) AS requests
FROM placed
CROSS JOIN asked
WHERE kind <> 'request' OR (second >= first_second AND second < end_second)
GROUP BY
    kind, second, load_balancer, method, "path", elb_status, target_status, action, error_reason,
    latency_bucket
ORDER BY
    kind, second, load_balancer, method, "path", elb_status, target_status, action, error_reason,
    latency_bucket
