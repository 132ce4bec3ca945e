-- title: The error types of rows that no access log gave (log queries, execution logs)
-- source: duckdb, the registered frame `candidates` and the macro of error_type.sql
-- columns: position, error_type
--
-- A row whose status is not known has a type only by its message.
SELECT
    position,
    nullif(
        error_type(
            coalesce(status, 500), response_type, integration_status, backend_status, message, waf,
            authorizer_error, latency_ms, NULL
        ),
        CASE WHEN status IS NULL THEN 'gateway_5xx_unexplained' END
    ) AS error_type
FROM candidates
ORDER BY position;
