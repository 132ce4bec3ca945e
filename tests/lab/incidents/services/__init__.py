"""The programs of the lab, each a process of its own, as they would run in production.

| module | program |
| --- | --- |
| inventory | gRPC service on a bounded pool of connections to PostgreSQL |
| payments | gRPC service without a database |
| orders | HTTP service that calls both, with deadlines and retries as it is told |
| proxy | gateway in front of it, which writes its access log in API Gateway's JSON |
| agent | takes DogStatsD, scrapes Prometheus text, answers as Datadog does |

What they share is in `telemetry` (numbers they publish) and `process` (how they start and are told
what to do).
"""
