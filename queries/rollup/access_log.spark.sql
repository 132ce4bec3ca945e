-- title: The rollup: requests by second, route, status, what their error's type follows from, and latency bucket
-- source: Spark 4; made from access_log.sql by docs/make_rollup_sql.py
-- columns: kind, second, method, route, status, response_type, integration_status, backend_status, error_text, authorizer_error, waf, latency_bucket, requests
WITH numbers AS (
  SELECT
    *,
    CASE WHEN epoch_ms RLIKE '^[0-9]{9,13}$' THEN TRY_CAST(epoch_ms AS BIGINT) END AS epoch,
    CASE WHEN status RLIKE '^[1-5][0-9]{2}$' THEN TRY_CAST(status AS BIGINT) END AS code,
    CASE
      WHEN response_latency RLIKE '^[0-9]{1,9}([.][0-9]{1,9})?$'
      THEN TRY_CAST(response_latency AS DOUBLE)
      WHEN integration_latency RLIKE '^[0-9]{1,9}([.][0-9]{1,9})?$'
      THEN TRY_CAST(integration_latency AS DOUBLE)
      WHEN integration_latency_ms RLIKE '^[0-9]{1,9}([.][0-9]{1,9})?$'
      THEN TRY_CAST(integration_latency_ms AS DOUBLE)
    END AS latency_ms
  FROM fields
), known AS (
  SELECT
    *,
    CASE
      WHEN epoch BETWEEN 946684800000 AND 4102444800000
      THEN CAST(FLOOR(CAST(epoch AS DOUBLE) / 1e3) AS BIGINT)
      WHEN epoch BETWEEN 946684800 AND 4102444800
      THEN epoch
    END AS epoch_second,
    CASE
      WHEN code >= 400
      THEN CONCAT(
        COALESCE(COALESCE(NULLIF(integration_error_message, '-'), ''), ''),
        ' ',
        COALESCE(
          COALESCE(NULLIF(NULLIF(integration_error, integration_error_message), '-'), ''),
          ''
        ),
        ' ',
        COALESCE(
          COALESCE(
            NULLIF(error_message, '-'),
            NULLIF(REPLACE(TRIM(error_message_string), '"', ''), '-'),
            ''
          ),
          ''
        ),
        ' ',
        COALESCE(COALESCE(NULLIF(authorizer_error, '-'), ''), '')
      )
    END AS said
  FROM numbers
), dated AS (
  SELECT
    *,
    CASE
      WHEN epoch_second IS NULL
      AND request_time RLIKE '^[0-9]{1,2}/[A-Z][a-z]{2}/[0-9]{4}:([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9] [+-][0-9]{4}$'
      THEN request_time
    END AS clock
  FROM known
), clocks AS (
  SELECT
    *,
    REGEXP_EXTRACT(clock, '^([0-9]+)/') AS day_of_month,
    CASE REGEXP_EXTRACT(clock, '/([A-Z][a-z]{2})/')
      WHEN 'Jan'
      THEN '01'
      WHEN 'Feb'
      THEN '02'
      WHEN 'Mar'
      THEN '03'
      WHEN 'Apr'
      THEN '04'
      WHEN 'May'
      THEN '05'
      WHEN 'Jun'
      THEN '06'
      WHEN 'Jul'
      THEN '07'
      WHEN 'Aug'
      THEN '08'
      WHEN 'Sep'
      THEN '09'
      WHEN 'Oct'
      THEN '10'
      WHEN 'Nov'
      THEN '11'
      WHEN 'Dec'
      THEN '12'
    END AS month_of_year,
    REGEXP_EXTRACT(clock, '/([0-9]{4}):') AS year_of_date,
    CAST(NULLIF(REGEXP_EXTRACT(clock, ':([0-9]{2}):[0-9]{2}:[0-9]{2} '), '') AS BIGINT) * 3600 + CAST(NULLIF(REGEXP_EXTRACT(clock, ':([0-9]{2}):[0-9]{2} '), '') AS BIGINT) * 60 + CAST(NULLIF(REGEXP_EXTRACT(clock, ':([0-9]{2}) '), '') AS BIGINT) AS second_of_day,
    (
      CAST(NULLIF(REGEXP_EXTRACT(clock, '[+-]([0-9]{2})[0-9]{2}$'), '') AS BIGINT) * 3600 + CAST(NULLIF(REGEXP_EXTRACT(clock, '[+-][0-9]{2}([0-9]{2})$'), '') AS BIGINT) * 60
    ) * CASE WHEN clock RLIKE ' [-][0-9]{4}$' THEN -1 ELSE 1 END AS zone_seconds
  FROM dated
), typed AS (
  SELECT
    text,
    COALESCE(
      epoch_second,
      DATEDIFF(
        DAY,
        CAST('1970-01-01' AS DATE),
        TRY_CAST(CONCAT(
          COALESCE(year_of_date, ''),
          '-',
          COALESCE(month_of_year, ''),
          '-',
          COALESCE(
            CASE
              WHEN LENGTH(day_of_month) = 1
              THEN CONCAT('0', COALESCE(day_of_month, ''))
              ELSE day_of_month
            END,
            ''
          )
        ) AS DATE)
      ) * 86400 + second_of_day - zone_seconds
    ) AS second,
    COALESCE(
      NULLIF(http_method, '-'),
      CASE WHEN NOT NULLIF(event_type, '-') IS NULL THEN 'WS' END,
      NULLIF(REGEXP_EXTRACT(route_key, '^([A-Z]+) /'), ''),
      http_method
    ) AS method,
    COALESCE(resource_path, REGEXP_REPLACE(route_key, '^[A-Z]+ /', '/'), `path`) AS route,
    code,
    latency_ms,
    NOT route_key IS NULL AND NULLIF(event_type, '-') IS NULL AS is_http_api,
    COALESCE(NULLIF(UPPER(response_type), '-'), '-') AS response_type,
    COALESCE(NULLIF(service_status, '-'), NULLIF(integration_service_status, '-'), '-') AS integration_status,
    COALESCE(NULLIF(backend_status, '-'), '-') AS backend_status,
    TRIM(said) AS said,
    LOWER(said) AS said_lower,
    CASE
      WHEN COALESCE(authorizer_error, '-') IN ('-', '')
      THEN '-'
      ELSE 'authorizer error'
    END AS authorizer_error,
    CASE WHEN waf = 'WAF_BLOCK' THEN waf ELSE '-' END AS waf
  FROM clocks
), facts AS (
  SELECT
    *,
    NOT second IS NULL
    AND second BETWEEN 946684800 AND 4102444800
    AND NOT code IS NULL
    AND NOT route IS NULL
    AND NOT method IS NULL AS is_request,
    CASE
      WHEN said_lower LIKE '%timeout error%'
      OR said_lower LIKE '%endpoint request timed out%'
      OR (
        code IN (503, 504) AND backend_status = '-' AND is_http_api AND latency_ms >= 29500
      )
      THEN 'timeout error'
      WHEN said_lower LIKE '%invocation failed with status: 429%'
      OR said_lower LIKE '%rate exceeded%'
      THEN 'rate exceeded'
      WHEN said_lower LIKE '%invalid permissions on lambda function%'
      THEN 'invalid permissions on lambda function'
      WHEN said_lower LIKE '%customer function error%'
      THEN CASE
        WHEN said_lower LIKE '%exceeded maximum allowed payload size%'
        THEN 'customer function error: exceeded maximum allowed payload size'
        ELSE 'customer function error'
      END
      WHEN said_lower LIKE '%malformed lambda proxy response%'
      OR said_lower LIKE '%invalidresponsecontent%'
      THEN 'malformed lambda proxy response'
      WHEN said_lower LIKE '%network error communicating with endpoint%'
      OR said_lower LIKE '%connection refused%'
      OR said_lower LIKE '%ssl handshake failed%'
      OR said_lower LIKE '%internal error while executing your request%'
      THEN 'network error communicating with endpoint'
      WHEN said_lower LIKE '%configuration error%'
      THEN 'configuration error'
      WHEN said IN ('', 'Internal server error')
      THEN '-'
      ELSE 'another error'
    END AS error_text
  FROM typed
), placed AS (
  SELECT
    CASE
      WHEN is_request
      THEN 'request'
      WHEN text RLIKE '^\\s*[{].*[^0-9]5[0-9][0-9][^0-9]'
      THEN 'unread_failure'
      ELSE 'unread'
    END AS kind,
    CASE WHEN is_request THEN second ELSE 0 END AS second,
    CASE WHEN is_request THEN method ELSE '-' END AS method,
    CASE WHEN is_request THEN route ELSE '-' END AS route,
    CASE WHEN is_request THEN code ELSE 0 END AS status,
    CASE WHEN is_request AND code >= 400 THEN response_type ELSE '-' END AS response_type,
    CASE WHEN is_request AND code >= 400 THEN integration_status ELSE '-' END AS integration_status,
    CASE WHEN is_request AND code >= 400 THEN backend_status ELSE '-' END AS backend_status,
    CASE WHEN is_request AND code >= 400 THEN error_text ELSE '-' END AS error_text,
    CASE WHEN is_request AND code >= 400 THEN authorizer_error ELSE '-' END AS authorizer_error,
    CASE WHEN is_request AND code >= 400 THEN waf ELSE '-' END AS waf,
    CASE
      WHEN is_request AND NOT latency_ms IS NULL
      THEN CASE
        WHEN latency_ms <= 1e0
        THEN 0
        ELSE CAST(CEIL(LN(latency_ms) / LN(1.02e0)) AS BIGINT)
      END
      ELSE -1
    END AS latency_bucket
  FROM facts
  WHERE
    is_request OR text RLIKE '\\S'
)
SELECT
  kind,
  second,
  method,
  route,
  status,
  response_type,
  integration_status,
  backend_status,
  error_text,
  authorizer_error,
  waf,
  latency_bucket,
  COUNT(*) AS requests
FROM placed
CROSS JOIN asked
WHERE
  kind <> 'request' OR (
    second >= first_second AND second < end_second
  )
GROUP BY
  kind,
  second,
  method,
  route,
  status,
  response_type,
  integration_status,
  backend_status,
  error_text,
  authorizer_error,
  waf,
  latency_bucket
ORDER BY
  kind NULLS LAST,
  second NULLS LAST,
  method NULLS LAST,
  route NULLS LAST,
  status NULLS LAST,
  response_type NULLS LAST,
  integration_status NULLS LAST,
  backend_status NULLS LAST,
  error_text NULLS LAST,
  authorizer_error NULLS LAST,
  waf NULLS LAST,
  latency_bucket NULLS LAST
