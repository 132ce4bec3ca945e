-- title: The error type of a request by what a load balancer's log says of it, null below status 400, and who answered
-- source: duckdb, used by load_balancer_requests.sql and load_balancer_types_of_rows.sql
-- columns: none
--
-- The first match wins. A 504 without a target's status is a connection or an answer that did not
-- come in time; the other reasons why the load balancer answers itself cannot be told apart here.
CREATE OR REPLACE TEMP MACRO load_balancer_error_type(elb_status, target_status, actions, reason) AS CASE
    WHEN elb_status < 400 THEN NULL
    WHEN target_status IS NULL AND (actions = 'waf' OR actions LIKE '%,waf') THEN 'waf_blocked'
    WHEN elb_status = 561 OR reason LIKE 'Auth%'
        OR (elb_status = 401 AND target_status IS NULL AND actions LIKE '%authenticate%') THEN 'auth'
    WHEN elb_status = 460 THEN 'client_abort'
    WHEN target_status = elb_status THEN CASE WHEN elb_status >= 500 THEN 'backend_5xx' ELSE 'backend_4xx' END
    WHEN reason = 'LambdaThrottling' THEN 'backend_throttled'
    WHEN reason = 'LambdaAccessDenied' THEN 'backend_permission'
    WHEN reason = 'LambdaUnhandled' THEN 'function_error'
    WHEN reason IN ('LambdaInvalidResponse', 'LambdaResponseTooLarge') THEN 'malformed_proxy_response'
    WHEN target_status IS NULL AND (actions = 'fixed-response' OR actions LIKE '%,fixed-response')
        THEN 'fixed_response'
    WHEN elb_status < 500 THEN 'client_request'
    WHEN target_status IS NOT NULL THEN 'gateway_5xx_unexplained'
    WHEN elb_status = 504 OR reason = 'LambdaConnectionTimeout' THEN 'integration_timeout'
    ELSE 'load_balancer_5xx'
END;

CREATE OR REPLACE TEMP MACRO load_balancer_answered_by(elb_status, target_status) AS CASE
    WHEN target_status IS NULL THEN 'load_balancer'
    WHEN target_status = elb_status THEN 'target'
    ELSE 'altered'
END;
