-- title: The variables of each line of an access log whose keys are the usual flat ones
-- source: duckdb over lines of JSON; SET VARIABLE raw_path names the file, first_line the number of its first line
-- columns: line, epoch_ms, request_time, request_id, extended_request_id, http_method, event_type, resource_path, route_key, path, status, service_status, integration_service_status, backend_status, integration_latency, integration_latency_ms, response_latency, response_type, error_message, error_message_string, integration_error_message, integration_error, waf, authorizer_error, xray_trace_id, integration_request_id
--
-- All values are text, an absent one is '-' or null. One physical line that is not blank is one row,
-- all of it null where it is no JSON object, so row_number() counts lines. Read at once as columns,
-- not as text that is then taken apart: each line is parsed once.
CREATE OR REPLACE TEMP VIEW fields AS
SELECT
    getvariable('first_line')::BIGINT - 1 + row_number() OVER () AS line,
    requestTimeEpoch AS epoch_ms,
    requestTime AS request_time,
    requestId AS request_id,
    extendedRequestId AS extended_request_id,
    httpMethod AS http_method,
    eventType AS event_type,
    resourcePath AS resource_path,
    routeKey AS route_key,
    "path" AS "path",
    status AS status,
    integrationStatus AS service_status,
    "integration.integrationStatus" AS integration_service_status,
    "integration.status" AS backend_status,
    integrationLatency AS integration_latency,
    "integration.latency" AS integration_latency_ms,
    responseLatency AS response_latency,
    errorResponseType AS response_type,
    errorMessage AS error_message,
    errorMessageString AS error_message_string,
    integrationErrorMessage AS integration_error_message,
    "integration.error" AS integration_error,
    wafResponseCode AS waf,
    "authorizer.error" AS authorizer_error,
    xrayTraceId AS xray_trace_id,
    "integration.requestId" AS integration_request_id
FROM read_ndjson(
    getvariable('raw_path'),
    columns = {
        "requestTimeEpoch": 'VARCHAR', "requestTime": 'VARCHAR', "requestId": 'VARCHAR',
        "extendedRequestId": 'VARCHAR', "httpMethod": 'VARCHAR', "eventType": 'VARCHAR',
        "resourcePath": 'VARCHAR', "routeKey": 'VARCHAR', "path": 'VARCHAR',
        "status": 'VARCHAR', "integrationStatus": 'VARCHAR',
        "integration.integrationStatus": 'VARCHAR', "integration.status": 'VARCHAR',
        "integrationLatency": 'VARCHAR', "integration.latency": 'VARCHAR',
        "responseLatency": 'VARCHAR', "errorResponseType": 'VARCHAR',
        "errorMessage": 'VARCHAR', "errorMessageString": 'VARCHAR',
        "integrationErrorMessage": 'VARCHAR', "integration.error": 'VARCHAR',
        "wafResponseCode": 'VARCHAR', "authorizer.error": 'VARCHAR', "xrayTraceId": 'VARCHAR',
        "integration.requestId": 'VARCHAR'
    },
    ignore_errors = true
);
