-- title: The variables of each line of an access log, by the JSON paths that its format gives them
-- source: duckdb over lines of JSON; SET VARIABLE raw_path names the file, first_line the number of its first line, json_paths 25 JSON paths in this order
-- columns: line, epoch_ms, request_time, request_id, extended_request_id, http_method, event_type, resource_path, route_key, path, status, service_status, integration_service_status, backend_status, integration_latency, integration_latency_ms, response_latency, response_type, error_message, error_message_string, integration_error_message, integration_error, waf, authorizer_error, xray_trace_id, integration_request_id
CREATE OR REPLACE TEMP VIEW fields AS
SELECT
    line,
    v[1] AS epoch_ms,
    v[2] AS request_time,
    v[3] AS request_id,
    v[4] AS extended_request_id,
    v[5] AS http_method,
    v[6] AS event_type,
    v[7] AS resource_path,
    v[8] AS route_key,
    v[9] AS "path",
    v[10] AS status,
    v[11] AS service_status,
    v[12] AS integration_service_status,
    v[13] AS backend_status,
    v[14] AS integration_latency,
    v[15] AS integration_latency_ms,
    v[16] AS response_latency,
    v[17] AS response_type,
    v[18] AS error_message,
    v[19] AS error_message_string,
    v[20] AS integration_error_message,
    v[21] AS integration_error,
    v[22] AS waf,
    v[23] AS authorizer_error,
    v[24] AS xray_trace_id,
    v[25] AS integration_request_id
FROM (
    SELECT
        getvariable('first_line')::BIGINT - 1 + row_number() OVER () AS line,
        json_extract_string(json, getvariable('json_paths')) AS v
    FROM read_ndjson_objects(getvariable('raw_path'), ignore_errors = true)
);
