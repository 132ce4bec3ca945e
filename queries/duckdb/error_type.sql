-- title: The error type of one gateway request; the first match wins
-- source: duckdb macro over the facts of one request ('-' already read as null)
-- columns: one VARCHAR, null below status 400
--
-- The type follows from the whole tuple, never from the status or the response type alone: real
-- logs show INTEGRATION_FAILURE with 500, 502 and 504. An absent value decides only where the log's
-- format could have shown it: SET VARIABLE knows_response_type, knows_integration_status (that of the
-- service called), knows_backend_status (that of the code in it) or knows_error_text to false where it
-- could not. timeout_ms is the integration's time-out as configured, or null where it is not known.
--
-- Without an error's text, an error in a Lambda function and an answer that is none of a proxy
-- integration look the same: the type then names both.
CREATE OR REPLACE TEMP MACRO knows(variable) AS coalesce(variable, true);

-- The status that came from behind the gateway. Where no response type could be shown, it is taken as
-- passed through only if the client got the same.
CREATE OR REPLACE TEMP MACRO passed_through(status, integration_status, backend_status) AS CASE
    WHEN knows(getvariable('knows_response_type'))
        OR coalesce(backend_status, integration_status) = status::VARCHAR
        THEN coalesce(
            backend_status,
            CASE WHEN NOT knows(getvariable('knows_backend_status')) THEN integration_status END
        )
END;

CREATE OR REPLACE TEMP MACRO error_type(
    status, response_type, integration_status, backend_status, message, waf, authorizer_error,
    latency_ms, timeout_ms
) AS CASE
    WHEN status IS NULL OR status < 400 THEN NULL
    WHEN response_type = 'WAF_FILTERED' OR waf = 'WAF_BLOCK' THEN 'waf_blocked'
    WHEN response_type IN (
        'UNAUTHORIZED', 'ACCESS_DENIED', 'EXPIRED_TOKEN', 'INVALID_API_KEY', 'INVALID_SIGNATURE',
        'MISSING_AUTHENTICATION_TOKEN'
    ) THEN 'auth'
    WHEN response_type IN ('AUTHORIZER_FAILURE', 'AUTHORIZER_CONFIGURATION_ERROR')
        OR coalesce(authorizer_error, '-') NOT IN ('-', '') THEN 'authorizer_failure'
    WHEN response_type IN ('THROTTLED', 'QUOTA_EXCEEDED')
        OR (status = 429 AND backend_status IS NULL AND (
            knows(getvariable('knows_backend_status'))
            OR (knows(getvariable('knows_integration_status')) AND integration_status IS NULL)
        )) THEN 'throttled_gateway'
    WHEN response_type LIKE 'BAD_REQUEST_%' OR response_type IN (
        'REQUEST_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'RESOURCE_NOT_FOUND', 'DEFAULT_4XX'
    ) THEN 'client_request'
    WHEN response_type = 'INTEGRATION_TIMEOUT' OR message ILIKE '%timeout error%'
        OR message ILIKE '%endpoint request timed out%'
        OR (status IN (503, 504) AND backend_status IS NULL AND latency_ms >= timeout_ms - 500)
        THEN 'integration_timeout'
    WHEN message ILIKE '%invocation failed with status: 429%' OR message ILIKE '%rate exceeded%'
        OR integration_status = '429' THEN 'backend_throttled'
    WHEN message ILIKE '%invalid permissions on lambda function%'
        OR (integration_status = '403'
            AND response_type IN ('INTEGRATION_FAILURE', 'API_CONFIGURATION_ERROR'))
        THEN 'backend_permission'
    WHEN message ILIKE '%customer function error%' THEN
        CASE WHEN message ILIKE '%exceeded maximum allowed payload size%'
            THEN 'function_error/payload_too_large' ELSE 'function_error' END
    WHEN message ILIKE '%malformed lambda proxy response%' OR message ILIKE '%InvalidResponseContent%'
        OR (status = 502 AND integration_status = '200' AND backend_status IS NULL AND message IN ('', 'Internal server error')
            AND knows(getvariable('knows_backend_status')) AND knows(getvariable('knows_error_text')))
        THEN 'malformed_proxy_response'
    WHEN status = 502 AND integration_status = '200' AND backend_status IS NULL
        AND knows(getvariable('knows_backend_status')) AND NOT knows(getvariable('knows_error_text'))
        THEN 'function_error_or_malformed_proxy_response'
    WHEN (response_type = 'INTEGRATION_FAILURE' AND integration_status IS NULL
            AND knows(getvariable('knows_integration_status')))
        OR message ILIKE '%network error communicating with endpoint%'
        OR message ILIKE '%connection refused%'
        OR message ILIKE '%ssl handshake failed%'
        OR message ILIKE '%internal error while executing your request%' THEN 'integration_network'
    WHEN response_type = 'API_CONFIGURATION_ERROR' OR message ILIKE '%configuration error%'
        THEN 'gateway_config'
    WHEN response_type IS NULL AND passed_through(status, integration_status, backend_status) LIKE '5%'
        THEN 'backend_5xx'
    WHEN response_type IS NULL AND passed_through(status, integration_status, backend_status) LIKE '4%'
        THEN 'backend_4xx'
    WHEN status IN (460, 499) THEN 'client_abort'
    WHEN status < 500 THEN 'gateway_4xx_unexplained'
    ELSE 'gateway_5xx_unexplained'
END;
