-- title: The variables of each line of an access log whose keys are the usual flat ones
-- source: duckdb, the view of access_log_lines.sql; all values are text, an absent one is '-' or null
-- columns: line, text, epoch_ms, request_time, request_id, extended_request_id, http_method, event_type, resource_path, route_key, path, status, service_status, integration_service_status, backend_status, integration_latency, integration_latency_ms, response_latency, response_type, error_message, error_message_string, integration_error_message, integration_error, waf, authorizer_error, xray_trace_id, integration_request_id
CREATE OR REPLACE TEMP VIEW fields AS
SELECT
    line,
    text,
    r.requestTimeEpoch AS epoch_ms,
    r.requestTime AS request_time,
    r.requestId AS request_id,
    r.extendedRequestId AS extended_request_id,
    r.httpMethod AS http_method,
    r.eventType AS event_type,
    r.resourcePath AS resource_path,
    r.routeKey AS route_key,
    r."path" AS "path",
    r.status AS status,
    r.integrationStatus AS service_status,
    r."integration.integrationStatus" AS integration_service_status,
    r."integration.status" AS backend_status,
    r.integrationLatency AS integration_latency,
    r."integration.latency" AS integration_latency_ms,
    r.responseLatency AS response_latency,
    r.errorResponseType AS response_type,
    r.errorMessage AS error_message,
    r.errorMessageString AS error_message_string,
    r.integrationErrorMessage AS integration_error_message,
    r."integration.error" AS integration_error,
    r.wafResponseCode AS waf,
    r."authorizer.error" AS authorizer_error,
    r.xrayTraceId AS xray_trace_id,
    r."integration.requestId" AS integration_request_id
FROM (
    SELECT
        line,
        text,
        json_transform(try_cast(text AS JSON), '{
            "requestTimeEpoch": "VARCHAR", "requestTime": "VARCHAR",
            "requestId": "VARCHAR", "extendedRequestId": "VARCHAR",
            "httpMethod": "VARCHAR", "eventType": "VARCHAR",
            "resourcePath": "VARCHAR", "routeKey": "VARCHAR", "path": "VARCHAR",
            "status": "VARCHAR",
            "integrationStatus": "VARCHAR", "integration.integrationStatus": "VARCHAR",
            "integration.status": "VARCHAR",
            "integrationLatency": "VARCHAR", "integration.latency": "VARCHAR",
            "responseLatency": "VARCHAR",
            "errorResponseType": "VARCHAR", "errorMessage": "VARCHAR",
            "errorMessageString": "VARCHAR",
            "integrationErrorMessage": "VARCHAR", "integration.error": "VARCHAR",
            "wafResponseCode": "VARCHAR", "authorizer.error": "VARCHAR",
            "xrayTraceId": "VARCHAR", "integration.requestId": "VARCHAR"
        }') AS r
    FROM lines
);
