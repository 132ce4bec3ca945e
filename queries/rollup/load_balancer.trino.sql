-- title: The rollup of a load balancer's log: requests by second, path, statuses, what their error's type follows from, and latency bucket
-- source: Athena (Trino); made from load_balancer.sql by docs/make_rollup_sql.py
-- columns: kind, second, load_balancer, method, path, elb_status, target_status, action, error_reason, latency_bucket, requests
WITH clean AS (
  SELECT
    REGEXP_REPLACE(COALESCE(text, ''), '\r', ' ') AS text
  FROM fields
), unescaped AS (
  SELECT
    text,
    REPLACE(text, '\"', '''') AS quoted
  FROM clean
), cut AS (
  SELECT
    text,
    quoted LIKE '%"%' AS has_request,
    SPLIT_PART(quoted, '"', 1) AS plain,
    SPLIT_PART(quoted, '"', 2) AS request,
    SPLIT_PART(SPLIT_PART(quoted, '"', 11), ' ', 3) AS created_in_place,
    REGEXP_EXTRACT(text, '" [^ \t\n\f\r]+ ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z) "', 1) AS created_elsewhere,
    SPLIT_PART(quoted, '"', 12) AS actions,
    SPLIT_PART(quoted, '"', 16) AS reason
  FROM unescaped
), named AS (
  SELECT
    *,
    SPLIT_PART(plain, ' ', 1) AS protocol,
    SPLIT_PART(plain, ' ', 2) AS answered,
    COALESCE(SPLIT_PART(plain, ' ', 3), '') AS load_balancer,
    SPLIT_PART(plain, ' ', 6) AS took_1,
    SPLIT_PART(plain, ' ', 7) AS took_2,
    SPLIT_PART(plain, ' ', 8) AS took_3,
    SPLIT_PART(plain, ' ', 9) AS of_balancer,
    SPLIT_PART(plain, ' ', 10) AS of_target,
    SPLIT_PART(request, ' ', 1) AS verb,
    REGEXP_EXTRACT(request, '^[^ \t\n\f\r]+ [a-z]+://[^/ ?]*(/[^? ;#]*)', 1) AS asked_path
  FROM cut
), sane AS (
  SELECT
    *,
    CASE
      WHEN REGEXP_LIKE(
        answered,
        '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z\z'
      )
      THEN answered
    END AS answered_at,
    CASE
      WHEN REGEXP_LIKE(
        created_in_place,
        '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z\z'
      )
      THEN created_in_place
      WHEN REGEXP_LIKE(
        created_elsewhere,
        '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z\z'
      )
      THEN created_elsewhere
    END AS created_at,
    CASE
      WHEN REGEXP_LIKE(took_1, '^[0-9]{1,6}([.][0-9]{1,6})?\z')
      THEN TRY_CAST(took_1 AS DOUBLE)
    END + CASE
      WHEN REGEXP_LIKE(took_2, '^[0-9]{1,6}([.][0-9]{1,6})?\z')
      THEN TRY_CAST(took_2 AS DOUBLE)
    END + CASE
      WHEN REGEXP_LIKE(took_3, '^[0-9]{1,6}([.][0-9]{1,6})?\z')
      THEN TRY_CAST(took_3 AS DOUBLE)
    END AS took_seconds,
    CASE
      WHEN REGEXP_LIKE(of_balancer, '^[1-5][0-9]{2}\z')
      THEN TRY_CAST(of_balancer AS BIGINT)
    END AS elb_status,
    CASE WHEN REGEXP_LIKE(of_target, '^[1-9][0-9]{2}\z') THEN of_target ELSE '-' END AS target_status,
    CASE WHEN REGEXP_LIKE(verb, '^[A-Za-z_-]{1,32}\z') THEN verb ELSE '-' END AS method,
    REGEXP_REPLACE(
      REGEXP_REPLACE(
        asked_path,
        '/([^/]*[0-9][^/]*[0-9][^/]*[0-9][^/]*|[^/]*(?:@|%40)[^/]*|[0-9]+[^ -~][^/]*|[^/]{41,})',
        '/{id}'
      ),
      '/[0-9]+\b',
      '/{id}'
    ) AS "path",
    CASE WHEN REGEXP_LIKE(reason, '^[A-Za-z0-9._-]{1,64}\z') THEN reason ELSE '-' END AS error_reason
  FROM named
), timed AS (
  SELECT
    *,
    DATE_DIFF(
      'DAY',
      DATE_TRUNC('DAY', CAST('1970-01-01' AS DATE)),
      DATE_TRUNC('DAY', TRY_CAST(SUBSTR(answered_at, 1, 10) AS DATE))
    ) * 86400000000 + CAST(SUBSTR(answered_at, 12, 2) AS BIGINT) * 3600000000 + CAST(SUBSTR(answered_at, 15, 2) AS BIGINT) * 60000000 + CAST(SUBSTR(answered_at, 18, 2) AS BIGINT) * 1000000 + CAST(SUBSTR(
      CONCAT(
        COALESCE(CAST(REGEXP_EXTRACT(answered_at, '[.]([0-9]+)Z', 1) AS VARCHAR), ''),
        COALESCE(CAST('000000' AS VARCHAR), '')
      ),
      1,
      6
    ) AS BIGINT) AS answered_us,
    DATE_DIFF(
      'DAY',
      DATE_TRUNC('DAY', CAST('1970-01-01' AS DATE)),
      DATE_TRUNC('DAY', TRY_CAST(SUBSTR(created_at, 1, 10) AS DATE))
    ) * 86400000000 + CAST(SUBSTR(created_at, 12, 2) AS BIGINT) * 3600000000 + CAST(SUBSTR(created_at, 15, 2) AS BIGINT) * 60000000 + CAST(SUBSTR(created_at, 18, 2) AS BIGINT) * 1000000 + CAST(SUBSTR(
      CONCAT(
        COALESCE(CAST(REGEXP_EXTRACT(created_at, '[.]([0-9]+)Z', 1) AS VARCHAR), ''),
        COALESCE(CAST('000000' AS VARCHAR), '')
      ),
      1,
      6
    ) AS BIGINT) AS created_us,
    CASE
      WHEN took_seconds <= 1e6
      THEN CAST(FLOOR(took_seconds * 1e6 + 5e-1) AS BIGINT)
    END AS took_us
  FROM sane
), arrived AS (
  SELECT
    *,
    CAST(FLOOR(CAST(COALESCE(created_us, answered_us - COALESCE(took_us, 0)) AS DOUBLE) / 1e6) AS BIGINT) AS second,
    CAST(COALESCE(
      took_us,
      CASE
        WHEN answered_us BETWEEN created_us AND created_us + 1000000000000
        THEN answered_us - created_us
      END
    ) AS DOUBLE) / 1e3 AS latency_ms
  FROM timed
), facts AS (
  SELECT
    *,
    protocol IN ('http', 'https', 'h2', 'grpcs', 'ws', 'wss')
    AND has_request
    AND NOT second IS NULL
    AND NOT elb_status IS NULL AS is_request,
    CASE
      WHEN target_status = '-' AND (
        actions = 'waf' OR actions LIKE '%,waf'
      )
      THEN 'waf'
      WHEN elb_status = 401 AND target_status = '-' AND actions LIKE '%authenticate%'
      THEN 'authenticate'
      WHEN target_status = '-'
      AND (
        actions = 'fixed-response' OR actions LIKE '%,fixed-response'
      )
      THEN 'fixed-response'
      ELSE '-'
    END AS action
  FROM arrived
), placed AS (
  SELECT
    CASE
      WHEN is_request
      THEN 'request'
      WHEN REGEXP_LIKE(text, '( ([0-9]+[.][0-9]+|-1)){3} (5[0-9][0-9]|460) ')
      THEN 'unread_failure'
      ELSE 'unread'
    END AS kind,
    CASE WHEN is_request THEN second ELSE 0 END AS second,
    CASE WHEN is_request THEN load_balancer ELSE '-' END AS load_balancer,
    CASE WHEN is_request THEN method ELSE '-' END AS method,
    CASE WHEN is_request THEN COALESCE(NULLIF("path", ''), '-') ELSE '-' END AS "path",
    CASE WHEN is_request THEN elb_status ELSE 0 END AS elb_status,
    CASE WHEN is_request THEN target_status ELSE '-' END AS target_status,
    CASE WHEN is_request AND elb_status >= 400 THEN action ELSE '-' END AS action,
    CASE WHEN is_request AND elb_status >= 400 THEN error_reason ELSE '-' END AS error_reason,
    CASE
      WHEN is_request AND NOT latency_ms IS NULL
      THEN CASE
        WHEN latency_ms <= 1e0
        THEN 0
        ELSE CAST(CEIL(CAST(LN(latency_ms) AS DOUBLE) / LN(1.02e0)) AS BIGINT)
      END
      ELSE -1
    END AS latency_bucket
  FROM facts
  WHERE
    is_request OR REGEXP_LIKE(text, '[^ \t\n\f\r]')
)
SELECT
  kind,
  second,
  load_balancer,
  method,
  "path",
  elb_status,
  target_status,
  action,
  error_reason,
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
  load_balancer,
  method,
  "path",
  elb_status,
  target_status,
  action,
  error_reason,
  latency_bucket
ORDER BY
  kind,
  second,
  load_balancer,
  method,
  "path",
  elb_status,
  target_status,
  action,
  error_reason,
  latency_bucket
