-- title: API Gateway access log, one row a line, typed
-- source: duckdb, the view of access_log_fields_flat.sql or access_log_fields_keys.sql
-- columns: line, arrived_at, has_milliseconds, method, route, status, latency_ms, request_id, logged_ids, trace_id, message, integration_status, is_parsed, error_type
--
-- A line that is no JSON object, or lacks its time, route or status, keeps its row with nulls and
-- counts as unparsed. Time is the request's arrival (requestTimeEpoch, in ms); requestTime has whole
-- seconds only. A time outside of this century, a latency above eleven days, or a status that is not
-- 100 to 599 in three digits, is no reading but damage. The route of an HTTP API stands in routeKey
-- ("GET /x"); a message of a WebSocket has no method. integrationStatus is the status of the Lambda
-- service where one is called, and integration.status that of the code in it, so both are kept; where
-- a format has only the former, an error in it is one of what is behind the gateway all the same.
-- What only an error has is made for errors only: most requests are none.
-- A real line of an HTTP API had its requestTimeEpoch in seconds: the size of the number tells.
CREATE OR REPLACE TEMP MACRO sane_epoch_ms(text) AS CASE
    WHEN try_cast(text AS BIGINT) BETWEEN 946684800000 AND 4102444800000 THEN try_cast(text AS BIGINT)
    WHEN try_cast(text AS BIGINT) BETWEEN 946684800 AND 4102444800 THEN try_cast(text AS BIGINT) * 1000
END;

CREATE OR REPLACE TEMP MACRO sane_instant(instant) AS CASE
    WHEN instant BETWEEN TIMESTAMPTZ '2000-01-01 00:00:00+00' AND TIMESTAMPTZ '2100-01-01 00:00:00+00' THEN instant
END;

-- 5e2 and +50 are whole numbers too. These casts cost less than a pattern.
CREATE OR REPLACE TEMP MACRO sane_status(text) AS CASE
    WHEN try_cast(text AS INTEGER) BETWEEN 100 AND 599 AND try_cast(text AS INTEGER)::VARCHAR = text
    THEN try_cast(text AS INTEGER)
END;

CREATE OR REPLACE TEMP MACRO sane_latency_ms(text) AS CASE
    WHEN try_cast(text AS DOUBLE) BETWEEN 0 AND 1e9 THEN try_cast(text AS DOUBLE)
END;

-- error.messageString is error.message in quotation marks.
CREATE OR REPLACE TEMP MACRO unquoted(text) AS nullif(trim(text, ' "'), '-');

CREATE OR REPLACE TEMP VIEW requests AS
WITH typed AS (
    SELECT
        line,
        -- No coalesce: DuckDB would parse the text of each line, which most have no need of.
        CASE
            WHEN epoch IS NULL THEN sane_instant(try_strptime(request_time, '%d/%b/%Y:%H:%M:%S %z'))
            ELSE make_timestamptz(epoch * 1000)
        END AS arrived_at,
        epoch IS NOT NULL AS has_milliseconds,
        coalesce(
            nullif(http_method, '-'),
            CASE WHEN nullif(event_type, '-') IS NOT NULL THEN 'WS' END,
            nullif(regexp_extract(route_key, '^([A-Z]+) /', 1), ''),
            http_method
        ) AS method,
        coalesce(resource_path, regexp_replace(route_key, '^[A-Z]+ /', '/'), "path") AS route,
        route_key IS NOT NULL AND nullif(event_type, '-') IS NULL AS is_http_api,
        code AS status,
        coalesce(
            sane_latency_ms(response_latency),
            sane_latency_ms(integration_latency),
            sane_latency_ms(integration_latency_ms)
        ) AS latency_ms,
        CASE WHEN code >= 500 THEN coalesce(nullif(extended_request_id, '-'), request_id) END AS request_id,
        CASE WHEN code >= 500
            THEN concat_ws(' ', request_id, extended_request_id, xray_trace_id, integration_request_id)
        END AS logged_ids,
        CASE WHEN code >= 500
            THEN nullif(regexp_extract(xray_trace_id, '1-[0-9a-f]{8}-[0-9a-f]{24}'), '') END AS trace_id,
        nullif(backend_status, '-') AS backend_status,
        coalesce(nullif(service_status, '-'), nullif(integration_service_status, '-'))
            AS integration_status,
        nullif(upper(response_type), '-') AS response_type,
        CASE WHEN code >= 400 THEN concat_ws(
            ' ',
            nullif(integration_error_message, '-'),
            CASE WHEN integration_error IS DISTINCT FROM integration_error_message
                THEN nullif(integration_error, '-') END,
            coalesce(nullif(error_message, '-'), unquoted(error_message_string)),
            nullif(authorizer_error, '-')
        ) END AS message,
        waf,
        authorizer_error
    FROM fields,
        LATERAL (SELECT sane_epoch_ms(epoch_ms) AS epoch, sane_status(status) AS code)
)
SELECT
    line, arrived_at, has_milliseconds, method, route, status, latency_ms,
    request_id, logged_ids, trace_id,
    CASE WHEN status >= 500 THEN message END AS message,
    coalesce(integration_status, backend_status) AS integration_status,
    arrived_at IS NOT NULL AND status IS NOT NULL AND route IS NOT NULL AND method IS NOT NULL AS is_parsed,
    error_type(
        status, response_type, integration_status, backend_status, message, waf, authorizer_error,
        latency_ms,
        coalesce(getvariable('integration_timeout_ms'), CASE WHEN is_http_api THEN 30000 END)
    ) AS error_type
FROM typed;
