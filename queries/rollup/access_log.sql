-- title: The rollup: requests by second, route, status, what their error's type follows from, and latency bucket
-- source: duckdb; access_log.spark.sql and access_log.trino.sql are made from it (docs/make_rollup_sql.py)
-- columns: kind, second, method, route, status, response_type, integration_status, backend_status, error_text, authorizer_error, waf, latency_bucket, requests
--
-- It reads two relations that each engine makes in its own way: `fields`, one row a line with the
-- columns of queries/duckdb/access_log_fields_flat.sql, and `asked`, one row with the seconds since
-- 1970 of the window. How a line is understood is that of queries/duckdb/access_log_requests.sql.
--
-- kind is `request`, `unread` (a line that gives none) or `unread_failure` (one that may tell of a
-- status 5xx); of the latter two only requests, their number, says something. Bucket k holds
-- latencies above 1.02^(k-1) and up to 1.02^k ms, so buckets can be merged; -1 holds those that are
-- not known. What an error's type follows from is kept as far as queries/duckdb/error_type.sql asks
-- for it: of an error's texts the one that decides. Nothing is null, so no engine orders it otherwise.
--
-- Written so that every engine takes it for the same: no GROUP BY ALL, no quantiles, no `/` on whole
-- numbers or decimals (Trino rounds), no cast of text that is not known to be a number (Java takes
-- `5d` for one), no greatest() of nulls (null in Trino), no ILIKE.
WITH numbers AS (
    SELECT
        *,
        CASE WHEN regexp_matches(epoch_ms, '^[0-9]{9,13}$') THEN TRY_CAST(epoch_ms AS BIGINT) END AS epoch,
        CASE WHEN regexp_matches(status, '^[1-5][0-9]{2}$') THEN TRY_CAST(status AS BIGINT) END AS code,
        CASE
            WHEN regexp_matches(response_latency, '^[0-9]{1,9}([.][0-9]{1,9})?$') THEN TRY_CAST(response_latency AS DOUBLE)
            WHEN regexp_matches(integration_latency, '^[0-9]{1,9}([.][0-9]{1,9})?$') THEN TRY_CAST(integration_latency AS DOUBLE)
            WHEN regexp_matches(integration_latency_ms, '^[0-9]{1,9}([.][0-9]{1,9})?$') THEN TRY_CAST(integration_latency_ms AS DOUBLE)
        END AS latency_ms
    FROM fields
),
known AS (
    SELECT
        *,
        CASE
            WHEN epoch BETWEEN 946684800000 AND 4102444800000 THEN CAST(floor(CAST(epoch AS DOUBLE) / 1e3) AS BIGINT)
            WHEN epoch BETWEEN 946684800 AND 4102444800 THEN epoch
        END AS epoch_second,
        CASE WHEN code >= 400 THEN concat(
            coalesce(nullif(integration_error_message, '-'), ''), ' ',
            coalesce(nullif(nullif(integration_error, integration_error_message), '-'), ''), ' ',
            coalesce(nullif(error_message, '-'), nullif(replace(trim(error_message_string), '"', ''), '-'), ''), ' ',
            coalesce(nullif(authorizer_error, '-'), '')
        ) END AS said
    FROM numbers
),
dated AS (
    SELECT
        *,
        CASE
            WHEN epoch_second IS NULL
                AND regexp_matches(request_time, '^[0-9]{1,2}/[A-Z][a-z]{2}/[0-9]{4}:([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9] [+-][0-9]{4}$')
            THEN request_time
        END AS clock
    FROM known
),
clocks AS (
    SELECT
        *,
        regexp_extract(clock, '^([0-9]+)/', 1) AS day_of_month,
        CASE regexp_extract(clock, '/([A-Z][a-z]{2})/', 1)
            WHEN 'Jan' THEN '01' WHEN 'Feb' THEN '02' WHEN 'Mar' THEN '03' WHEN 'Apr' THEN '04'
            WHEN 'May' THEN '05' WHEN 'Jun' THEN '06' WHEN 'Jul' THEN '07' WHEN 'Aug' THEN '08'
            WHEN 'Sep' THEN '09' WHEN 'Oct' THEN '10' WHEN 'Nov' THEN '11' WHEN 'Dec' THEN '12'
        END AS month_of_year,
        regexp_extract(clock, '/([0-9]{4}):', 1) AS year_of_date,
        CAST(nullif(regexp_extract(clock, ':([0-9]{2}):[0-9]{2}:[0-9]{2} ', 1), '') AS BIGINT) * 3600
            + CAST(nullif(regexp_extract(clock, ':([0-9]{2}):[0-9]{2} ', 1), '') AS BIGINT) * 60
            + CAST(nullif(regexp_extract(clock, ':([0-9]{2}) ', 1), '') AS BIGINT) AS second_of_day,
        (CAST(nullif(regexp_extract(clock, '[+-]([0-9]{2})[0-9]{2}$', 1), '') AS BIGINT) * 3600
            + CAST(nullif(regexp_extract(clock, '[+-][0-9]{2}([0-9]{2})$', 1), '') AS BIGINT) * 60)
            * CASE WHEN regexp_matches(clock, ' [-][0-9]{4}$') THEN -1 ELSE 1 END AS zone_seconds
    FROM dated
),
typed AS (
    SELECT
        text,
        coalesce(
            epoch_second,
            date_diff(
                'day', CAST('1970-01-01' AS DATE),
                TRY_CAST(concat(
                    year_of_date, '-', month_of_year, '-',
                    CASE WHEN length(day_of_month) = 1 THEN concat('0', day_of_month) ELSE day_of_month END
                ) AS DATE)
            ) * 86400 + second_of_day - zone_seconds
        ) AS second,
        coalesce(
            nullif(http_method, '-'),
            CASE WHEN nullif(event_type, '-') IS NOT NULL THEN 'WS' END,
            nullif(regexp_extract(route_key, '^([A-Z]+) /', 1), ''),
            http_method
        ) AS method,
        coalesce(resource_path, regexp_replace(route_key, '^[A-Z]+ /', '/'), "path") AS route,
        code,
        latency_ms,
        route_key IS NOT NULL AND nullif(event_type, '-') IS NULL AS is_http_api,
        coalesce(nullif(upper(response_type), '-'), '-') AS response_type,
        coalesce(nullif(service_status, '-'), nullif(integration_service_status, '-'), '-') AS integration_status,
        coalesce(nullif(backend_status, '-'), '-') AS backend_status,
        trim(said) AS said,
        lower(said) AS said_lower,
        CASE WHEN coalesce(authorizer_error, '-') IN ('-', '') THEN '-' ELSE 'authorizer error' END AS authorizer_error,
        CASE WHEN waf = 'WAF_BLOCK' THEN waf ELSE '-' END AS waf
    FROM clocks
),
facts AS (
    SELECT
        *,
        second IS NOT NULL AND second BETWEEN 946684800 AND 4102444800
            AND code IS NOT NULL AND route IS NOT NULL AND method IS NOT NULL AS is_request,
        CASE
            WHEN said_lower LIKE '%timeout error%' OR said_lower LIKE '%endpoint request timed out%'
                OR (code IN (503, 504) AND backend_status = '-' AND is_http_api AND latency_ms >= 29500)
                THEN 'timeout error'
            WHEN said_lower LIKE '%invocation failed with status: 429%' OR said_lower LIKE '%rate exceeded%'
                THEN 'rate exceeded'
            WHEN said_lower LIKE '%invalid permissions on lambda function%'
                THEN 'invalid permissions on lambda function'
            WHEN said_lower LIKE '%customer function error%' THEN
                CASE WHEN said_lower LIKE '%exceeded maximum allowed payload size%'
                    THEN 'customer function error: exceeded maximum allowed payload size'
                    ELSE 'customer function error' END
            WHEN said_lower LIKE '%malformed lambda proxy response%' OR said_lower LIKE '%invalidresponsecontent%'
                THEN 'malformed lambda proxy response'
            WHEN said_lower LIKE '%network error communicating with endpoint%'
                OR said_lower LIKE '%connection refused%' OR said_lower LIKE '%ssl handshake failed%'
                OR said_lower LIKE '%internal error while executing your request%'
                THEN 'network error communicating with endpoint'
            WHEN said_lower LIKE '%configuration error%' THEN 'configuration error'
            WHEN said IN ('', 'Internal server error') THEN '-'
            ELSE 'another error'
        END AS error_text
    FROM typed
),
placed AS (
    SELECT
        CASE
            WHEN is_request THEN 'request'
            WHEN regexp_matches(text, '^\s*[{].*[^0-9]5[0-9][0-9][^0-9]') THEN 'unread_failure'
            ELSE 'unread'
        END AS kind,
        CASE WHEN is_request THEN second ELSE 0 END AS second,
        CASE WHEN is_request THEN method ELSE '-' END AS method,
        CASE WHEN is_request THEN route ELSE '-' END AS route,
        CASE WHEN is_request THEN code ELSE 0 END AS status,
        CASE WHEN is_request AND code >= 400 THEN response_type ELSE '-' END AS response_type,
        CASE WHEN is_request AND code >= 400 THEN integration_status ELSE '-' END AS integration_status,
        CASE WHEN is_request AND code >= 400 THEN backend_status ELSE '-' END AS backend_status,
        CASE WHEN is_request AND code >= 400 THEN error_text ELSE '-' END AS error_text,
        CASE WHEN is_request AND code >= 400 THEN authorizer_error ELSE '-' END AS authorizer_error,
        CASE WHEN is_request AND code >= 400 THEN waf ELSE '-' END AS waf,
        CASE WHEN is_request AND latency_ms IS NOT NULL THEN
            CASE WHEN latency_ms <= 1e0 THEN 0 ELSE CAST(ceil(ln(latency_ms) / ln(1.02e0)) AS BIGINT) END
            ELSE -1 END AS latency_bucket
    FROM facts
    WHERE is_request OR regexp_matches(text, '\S')
)
SELECT
    kind, second, method, route, status, response_type, integration_status, backend_status,
    error_text, authorizer_error, waf, latency_bucket, count(*) AS requests
FROM placed
CROSS JOIN asked
WHERE kind <> 'request' OR (second >= first_second AND second < end_second)
GROUP BY
    kind, second, method, route, status, response_type, integration_status, backend_status,
    error_text, authorizer_error, waf, latency_bucket
ORDER BY
    kind, second, method, route, status, response_type, integration_status, backend_status,
    error_text, authorizer_error, waf, latency_bucket
