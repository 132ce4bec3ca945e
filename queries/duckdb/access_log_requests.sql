-- title: API Gateway access log, one row a line, typed
-- source: duckdb over a file of JSON lines; SET VARIABLE raw_path names it
-- columns: line, at, method, route, status, error_type, latency_ms, request_id, integration_status, message
--
-- One physical line is one row, so row_number() is the line's number in the file. A line that is no
-- JSON object, or lacks its time, route or status, keeps its row with nulls and counts as unparsed.
-- Time is the request's arrival (requestTimeEpoch, in ms); requestTime has whole seconds only.
CREATE OR REPLACE TEMP VIEW requests AS
WITH lines AS (
    SELECT row_number() OVER () AS line, text
    FROM read_csv(
        getvariable('raw_path'), columns = {'text': 'VARCHAR'}, delim = '\x01', quote = '',
        escape = '', header = false, auto_detect = false, max_line_size = 16777216,
        strict_mode = false
    )
),
parsed AS (
    SELECT
        line,
        text,
        json_transform(try_cast(text AS JSON), '{
            "requestTimeEpoch": "VARCHAR", "requestTime": "VARCHAR",
            "requestId": "VARCHAR", "extendedRequestId": "VARCHAR",
            "httpMethod": "VARCHAR", "resourcePath": "VARCHAR", "status": "VARCHAR",
            "integrationStatus": "VARCHAR", "integration.status": "VARCHAR",
            "integrationLatency": "VARCHAR", "responseLatency": "VARCHAR",
            "errorResponseType": "VARCHAR", "errorMessage": "VARCHAR",
            "integrationErrorMessage": "VARCHAR", "wafResponseCode": "VARCHAR"
        }') AS r
    FROM lines
),
typed AS (
    SELECT
        line,
        coalesce(
            make_timestamptz(try_cast(r.requestTimeEpoch AS BIGINT) * 1000),
            try_strptime(r.requestTime, '%d/%b/%Y:%H:%M:%S %z')
        ) AS arrived_at,
        try_cast(r.requestTimeEpoch AS BIGINT) IS NOT NULL AS has_milliseconds,
        r.httpMethod AS method,
        r.resourcePath AS route,
        try_cast(r.status AS INTEGER) AS status,
        coalesce(try_cast(r.responseLatency AS DOUBLE), try_cast(r.integrationLatency AS DOUBLE))
            AS latency_ms,
        coalesce(nullif(r.extendedRequestId, '-'), r.requestId) AS request_id,
        nullif(r."integration.status", '-') AS backend_status,
        nullif(r.integrationStatus, '-') AS integration_status,
        nullif(upper(r.errorResponseType), '-') AS response_type,
        concat_ws(' ', nullif(r.integrationErrorMessage, '-'), nullif(r.errorMessage, '-'))
            AS message,
        r.wafResponseCode AS waf,
        trim(coalesce(text, '')) = '' AS is_blank
    FROM parsed
)
SELECT
    line, arrived_at, has_milliseconds, method, route, status, latency_ms, request_id, message, is_blank,
    coalesce(integration_status, backend_status) AS integration_status,
    arrived_at IS NOT NULL AND status IS NOT NULL AND route IS NOT NULL AND method IS NOT NULL AS is_parsed,
    error_type(status, response_type, integration_status, backend_status, message, waf) AS error_type
FROM typed;
