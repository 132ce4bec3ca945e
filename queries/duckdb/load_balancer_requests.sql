-- title: Access log of an Application Load Balancer, one row a line, typed; read once, then asked
-- source: duckdb over a file of lines, and load_balancer_error_type.sql; SET VARIABLE raw_path names it. Fields: Elastic Load Balancing, "Access logs for your Application Load Balancer"
-- columns: line, arrived_at, load_balancer, method, path, elb_status, target_status, answered_by, error_type, error_reason, trace_id, latency_ms, is_parsed, is_blank
--
-- One physical line is one row, so row_number() is the line's number in the file. The quoted fields
-- are the even pieces of a line cut at its quotes; a field that an older line lacks is null.
-- Arrival is request_creation_time. Lines from before it was logged say when the answer was made and
-- how long it took, -1 where a step was not reached. Ids in a path are one `{id}`: a segment that is
-- a number, has three digits or an `@`, or is longer than 40 characters. The query string is dropped.
-- What a load balancer answers is a status from 100 to 599; what a target did may be any number.
-- queries/rollup/load_balancer.sql understands a line in the same way: change both.
CREATE OR REPLACE TEMP MACRO sane_instant(text) AS CASE
    WHEN regexp_full_match(text, '20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z')
    THEN text
END;

CREATE OR REPLACE TEMP MACRO sane_seconds(text) AS CASE
    WHEN regexp_full_match(text, '[0-9]{1,6}([.][0-9]{1,6})?') THEN try_cast(text AS DOUBLE)
END;

CREATE OR REPLACE TEMP MACRO sane_status(text, known) AS CASE
    WHEN regexp_full_match(text, known) THEN try_cast(text AS INTEGER)
END;

CREATE OR REPLACE TEMP MACRO templated(path) AS regexp_replace(
    regexp_replace(path, '/([^/]*[0-9][^/]*[0-9][^/]*[0-9][^/]*|[^/]*(?:@|%40)[^/]*|[0-9]+[^ -~][^/]*|[^/]{41,})', '/{id}', 'g'),
    '/[0-9]+\b', '/{id}', 'g'
);

CREATE OR REPLACE TEMP TABLE balanced AS
WITH lines AS (
    SELECT row_number() OVER () AS line, text
    FROM read_csv(
        getvariable('raw_path'), columns = {'text': 'VARCHAR'}, delim = E'\x01\x02\x03\x04', quote = '',
        escape = '', header = false, auto_detect = false, max_line_size = 16777216,
        buffer_size = 33554432,
        strict_mode = false
    )
),
pieces AS (
    SELECT line, text, string_split(replace(text, '\"', ''''), '"') AS quoted FROM lines
),
fields AS (
    SELECT
        line, text, string_split(quoted[1], ' ') AS plain, quoted[2] AS request, quoted[6] AS trace,
        split_part(quoted[11], ' ', 3) AS created, quoted[12] AS actions, nullif(quoted[16], '-') AS said
    FROM pieces
),
typed AS (
    SELECT
        line, actions, request, trace,
        CASE WHEN regexp_full_match(said, '[A-Za-z0-9._-]{1,64}') THEN said END AS reason,
        plain[1] IN ('http', 'https', 'h2', 'grpcs', 'ws', 'wss') AS is_request,
        try_cast(sane_instant(plain[2]) AS TIMESTAMPTZ) AS answered_at,
        -- A quote of its own in a user agent moves all pieces behind it.
        try_cast(coalesce(
            sane_instant(created),
            sane_instant(regexp_extract(text, '" \S+ (\d{4}-\d\d-\d\dT[0-9:.]+Z) "', 1))
        ) AS TIMESTAMPTZ) AS created_at,
        plain[3] AS load_balancer,
        sane_seconds(plain[6]) + sane_seconds(plain[7]) + sane_seconds(plain[8]) AS steps_seconds,
        sane_status(plain[9], '[1-5][0-9]{2}') AS elb_status,
        sane_status(plain[10], '[1-9][0-9]{2}') AS target_status,
        CASE WHEN regexp_full_match(split_part(request, ' ', 1), '[A-Za-z_-]{1,32}')
            THEN split_part(request, ' ', 1) END AS method,
        templated(regexp_extract(request, '^\S+ [a-z]+://[^/ ?]*(/[^? ;#]*)', 1)) AS path,
        CASE WHEN request IS NULL THEN regexp_full_match(coalesce(text, ''), '\s*') ELSE false END AS is_blank
    FROM fields
),
timed AS (
    SELECT *, CASE WHEN steps_seconds <= 1e6 THEN steps_seconds END AS took_seconds FROM typed
),
arrived AS (
    SELECT
        *,
        coalesce(created_at, answered_at - to_microseconds(coalesce(took_seconds * 1e6, 0)::BIGINT)) AS arrived_at
    FROM timed
)
SELECT
    line, arrived_at, load_balancer,
    coalesce(method, '-') AS method,
    coalesce(nullif(path, ''), '-') AS path,
    elb_status, target_status,
    load_balancer_answered_by(elb_status, target_status) AS answered_by,
    load_balancer_error_type(elb_status, target_status, actions, reason) AS error_type,
    CASE WHEN elb_status >= 400 THEN reason END AS error_reason,
    CASE WHEN elb_status >= 500 OR elb_status = 460 THEN nullif(regexp_extract(trace, 'Root=(1-[0-9a-f]{8}-[0-9a-f]{24})', 1), '') END
        AS trace_id,
    1000 * coalesce(
        took_seconds,
        CASE WHEN answered_at BETWEEN created_at AND created_at + INTERVAL 1000000 SECONDS
            THEN (epoch_us(answered_at) - epoch_us(created_at)) / 1e6 END
    ) AS latency_ms,
    coalesce(is_request AND arrived_at IS NOT NULL AND elb_status IS NOT NULL AND request IS NOT NULL, false)
        AS is_parsed,
    is_blank
FROM arrived;
