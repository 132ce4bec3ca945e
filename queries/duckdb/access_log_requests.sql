-- title: API Gateway access log, one row a line, typed; read once, then asked three times
-- source: duckdb over a file of JSON lines; SET VARIABLE raw_path names it
-- columns: line, at, method, route, status, error_type, latency_ms, request_id, integration_status, message
--
-- One physical line is one row, so row_number() is the line's number in the file. A line that is no
-- JSON object, or lacks its time, route or status, keeps its row with nulls and counts as unparsed.
-- Time is the request's arrival (requestTimeEpoch, in ms); requestTime has whole seconds only.
-- A time outside of this century, or a latency above eleven days, is no reading but damage.
CREATE OR REPLACE TEMP MACRO sane_epoch_ms(text) AS CASE
    WHEN try_cast(text AS BIGINT) BETWEEN 946684800000 AND 4102444800000 THEN try_cast(text AS BIGINT)
END;

CREATE OR REPLACE TEMP MACRO sane_latency_ms(response, integration) AS coalesce(
    CASE WHEN try_cast(response AS DOUBLE) BETWEEN 0 AND 1e9 THEN try_cast(response AS DOUBLE) END,
    CASE WHEN try_cast(integration AS DOUBLE) BETWEEN 0 AND 1e9 THEN try_cast(integration AS DOUBLE) END
);

CREATE OR REPLACE TEMP TABLE requests AS
WITH lines AS (
    SELECT row_number() OVER () AS line, text
    FROM read_csv(
        getvariable('raw_path'), columns = {'text': 'VARCHAR'}, delim = E'\x01\x02\x03\x04', quote = '',
        escape = '', header = false, auto_detect = false, max_line_size = 16777216,
        buffer_size = 33554432,
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
            make_timestamptz(epoch_ms * 1000),
            try_strptime(r.requestTime, '%d/%b/%Y:%H:%M:%S %z')
        ) AS arrived_at,
        epoch_ms IS NOT NULL AS has_milliseconds,
        r.httpMethod AS method,
        r.resourcePath AS route,
        try_cast(r.status AS INTEGER) AS status,
        sane_latency_ms(r.responseLatency, r.integrationLatency) AS latency_ms,
        coalesce(nullif(r.extendedRequestId, '-'), r.requestId) AS request_id,
        nullif(r."integration.status", '-') AS backend_status,
        nullif(r.integrationStatus, '-') AS integration_status,
        nullif(upper(r.errorResponseType), '-') AS response_type,
        concat_ws(' ', nullif(r.integrationErrorMessage, '-'), nullif(r.errorMessage, '-'))
            AS message,
        r.wafResponseCode AS waf,
        CASE WHEN starts_with(text, '{') THEN false
            ELSE regexp_full_match(coalesce(text, ''), '\s*') END AS is_blank
    FROM parsed, LATERAL (SELECT sane_epoch_ms(r.requestTimeEpoch) AS epoch_ms)
)
SELECT
    line, arrived_at, has_milliseconds, method, route, status, latency_ms, is_blank,
    CASE WHEN status >= 500 THEN request_id END AS request_id,
    CASE WHEN status >= 500 THEN message END AS message,
    coalesce(integration_status, backend_status) AS integration_status,
    arrived_at IS NOT NULL AND status IS NOT NULL AND route IS NOT NULL AND method IS NOT NULL AS is_parsed,
    error_type(status, response_type, integration_status, backend_status, message, waf) AS error_type
FROM typed;
