-- title: The error type of one gateway request; the first match wins
-- source: duckdb macro over access log columns ('-' already read as null)
-- columns: one VARCHAR, null below status 400
--
-- The type follows from the whole tuple, never from the status or the response type alone: real
-- logs show INTEGRATION_FAILURE with 500, 502 and 504.
CREATE OR REPLACE TEMP MACRO error_type(
    status, response_type, integration_status, backend_status, message, waf
) AS CASE
    WHEN status IS NULL OR status < 400 THEN NULL
    WHEN response_type = 'WAF_FILTERED' OR waf = 'WAF_BLOCK' THEN 'waf_blocked'
    WHEN response_type IN (
        'UNAUTHORIZED', 'ACCESS_DENIED', 'EXPIRED_TOKEN', 'INVALID_API_KEY', 'INVALID_SIGNATURE',
        'MISSING_AUTHENTICATION_TOKEN'
    ) THEN 'auth'
    WHEN response_type IN ('AUTHORIZER_FAILURE', 'AUTHORIZER_CONFIGURATION_ERROR')
        THEN 'authorizer_failure'
    WHEN response_type IN ('THROTTLED', 'QUOTA_EXCEEDED')
        OR (status = 429 AND backend_status IS NULL) THEN 'throttled_gateway'
    WHEN response_type LIKE 'BAD_REQUEST_%' OR response_type IN (
        'REQUEST_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'RESOURCE_NOT_FOUND', 'DEFAULT_4XX'
    ) THEN 'client_request'
    WHEN response_type = 'INTEGRATION_TIMEOUT' OR message ILIKE '%timeout error%'
        THEN 'integration_timeout'
    WHEN message ILIKE '%invocation failed with status: 429%' OR message ILIKE '%rate exceeded%'
        OR integration_status = '429' THEN 'backend_throttled'
    WHEN message ILIKE '%invalid permissions on lambda function%'
        OR (integration_status = '403'
            AND response_type IN ('INTEGRATION_FAILURE', 'API_CONFIGURATION_ERROR'))
        THEN 'backend_permission'
    WHEN message ILIKE '%customer function error%' THEN 'function_error'
    WHEN message ILIKE '%malformed lambda proxy response%' OR message ILIKE '%InvalidResponseContent%'
        OR (status = 502 AND integration_status = '200' AND backend_status IS NULL AND message = '')
        THEN 'malformed_proxy_response'
    WHEN (response_type = 'INTEGRATION_FAILURE' AND integration_status IS NULL)
        OR message ILIKE '%network error communicating with endpoint%'
        OR message ILIKE '%internal error while executing your request%' THEN 'integration_network'
    WHEN response_type = 'API_CONFIGURATION_ERROR' OR message ILIKE '%configuration error%'
        THEN 'gateway_config'
    WHEN response_type IS NULL AND backend_status LIKE '5%' THEN 'backend_5xx'
    WHEN response_type IS NULL AND backend_status LIKE '4%' THEN 'backend_4xx'
    WHEN status IN (460, 499) THEN 'client_abort'
    WHEN status < 500 THEN 'client_request'
    ELSE 'gateway_5xx_unexplained'
END;
