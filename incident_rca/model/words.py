"""The words: every enumeration of the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class System(StrEnum):
    """Where evidence comes from; only INDEPENDENT_SYSTEMS count as independent sources."""

    POSTGRES = "postgres"
    GRPC_METRICS = "grpc_metrics"
    GATEWAY = "gateway"
    CHANGES = "changes"
    SETTINGS = "settings"


INDEPENDENT_SYSTEMS = frozenset({System.POSTGRES, System.GRPC_METRICS, System.GATEWAY})


EVIDENCE_LETTER: Mapping[System, str] = {
    System.POSTGRES: "L",
    System.GRPC_METRICS: "M",
    System.GATEWAY: "G",
    System.CHANGES: "C",
    System.SETTINGS: "S",
}


class SourceState(StrEnum):
    OK = "ok"
    EMPTY = "empty"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


class Stance(StrEnum):
    FOR = "for"
    AGAINST = "against"


class Aspect(StrEnum):
    PATH = "path"
    MECHANISM = "mechanism"
    ORDER = "order"
    DOSE = "dose"
    RECOVERY = "recovery"
    CONTROL = "control"
    ABSENCE = "absence"


class Basis(StrEnum):
    OBSERVED = "observed"
    INFERRED = "inferred"
    ASSUMED = "assumed"


class Kind(StrEnum):
    """What a hypothesis may blame."""

    LOCK_BLOCKING = "lock_blocking"
    DEADLOCK = "deadlock"
    POOL_EXHAUSTION = "pool_exhaustion"
    MISSING_DEADLINE = "missing_deadline"
    DEPENDENCY_LATENCY = "dependency_latency"
    BACKEND_FAILURE = "backend_failure"
    GATEWAY_CONFIGURATION = "gateway_configuration"
    TRAFFIC_SURGE = "traffic_surge"
    RETRY_STORM = "retry_storm"
    CHANGE = "change"
    UNKNOWN = "unknown"


class Role(StrEnum):
    TRIGGER = "trigger"
    SUSTAINER = "sustainer"
    CONTRIBUTING = "contributing"
    SYMPTOM = "symptom"
    COINCIDENT = "coincident"
    RULED_OUT = "ruled_out"


class Verdict(StrEnum):
    SUPPORTED = "supported"
    WEAK = "weak"
    INSUFFICIENT = "insufficient"
    CONTRADICTED = "contradicted"


class Impact(StrEnum):
    FAILED = "failed"
    STARVED = "starved"
    DEGRADED = "degraded"
    UNAFFECTED = "unaffected"


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
