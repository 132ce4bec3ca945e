-- The same rollup as that of an import, as a bare query: what any program on DuckDB needs at least.
SELECT
    try_cast(requestTimeEpoch AS BIGINT) // 1000 AS second,
    httpMethod, resourcePath, status, errorResponseType,
    count(*) AS requests,
    quantile_cont(try_cast(responseLatency AS DOUBLE), [0.5, 0.99]) AS latencies_ms
FROM read_ndjson(
    getvariable('raw_path'),
    columns = {
        "requestTimeEpoch": 'VARCHAR', "httpMethod": 'VARCHAR', "resourcePath": 'VARCHAR',
        "status": 'VARCHAR', "errorResponseType": 'VARCHAR', "responseLatency": 'VARCHAR'
    },
    ignore_errors = true
)
GROUP BY ALL;
