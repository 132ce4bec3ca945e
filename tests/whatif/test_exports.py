"""Exports, each read by the program that it is for."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.exports import FORMATS
from incident_rca.whatif.exports.yaml import Value, block
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.options import from_document
from incident_rca.whatif.protection import UNPROTECTED, Protection
from incident_rca.whatif.resilience4j import Resilience4jOptions
from tests.oracle.envoy_server import PROGRAM, bootstrap
from tests.oracle.libraries import BESIDE_MODULES, MODULES, run

OPOSSUM = Protection(
    breaker=OpossumOptions(
        error_threshold_percentage=25,
        rolling_count_timeout_ms=20_000,
        rolling_count_buckets=5,
        volume_threshold=7,
        reset_timeout_ms=4_000,
        allow_warm_up=True,
    ),
    deadline_ms=1_500,
    retries=2,
    backoff_ms=50,
    places=30,
)
RESILIENCE4J = Protection(
    breaker=Resilience4jOptions(sliding_window_type="TIME_BASED", sliding_window_size=30),
    deadline_ms=800,
)
ENVOY = Protection(
    breaker=EnvoyOptions(max_ejection_percent=100, healthy_panic_percent=0, hosts=3),
    deadline_ms=2_000,
    places=50,
    retries=1,
    backoff_ms=100,
)
PROTECTIONS = {
    "opossum": OPOSSUM,
    "resilience4j": RESILIENCE4J,
    "envoy": ENVOY,
    "a deadline alone": Protection(deadline_ms=2_000),
    "nothing": UNPROTECTED,
}
each_protection = pytest.mark.parametrize("name", PROTECTIONS)


def documents(text: str) -> list[Any]:
    """The documents of a YAML text, by a parser of YAML."""
    found = json.loads(run("read_yaml.cjs", BESIDE_MODULES, given=text))
    assert isinstance(found, list)
    return found


# --- opossum --------------------------------------------------------------------------------------


def _read_by_opossum(tmp_path: Path, protection: Protection) -> dict[str, Any]:
    module = tmp_path / "breaker.cjs"
    module.write_text(FORMATS["opossum"](protection, "stock"), encoding="utf-8")
    found = json.loads(run("read_opossum.cjs", BESIDE_MODULES, str(module)))
    assert isinstance(found, dict)
    return found


def test_opossum_has_every_option_that_was_replayed(tmp_path: Path) -> None:
    told = _read_by_opossum(tmp_path, OPOSSUM)
    wanted = {
        "name": "stock",
        "timeout": 1_500,
        "errorThresholdPercentage": 25,
        "rollingCountTimeout": 20_000,
        "rollingCountBuckets": 5,
        "volumeThreshold": 7,
        "resetTimeout": 4_000,
        "capacity": 30,
        "warmUp": True,
    }
    assert {key: told[key] for key in wanted} == wanted


@each_protection
def test_opossum_constructs_from_each(tmp_path: Path, name: str) -> None:
    protection = PROTECTIONS[name]
    assert _read_by_opossum(tmp_path, protection)["timeout"] == (protection.deadline_ms or False)


def test_what_opossum_cannot_say_stands_above_it() -> None:
    comments = _comments(FORMATS["opossum"](OPOSSUM, "stock"), "//")
    assert "does not cancel" in comments
    assert "does not retry" in comments
    assert "tries one call" in _comments(FORMATS["opossum"](RESILIENCE4J, "stock"), "//")


def _comments(text: str, sign: str) -> str:
    return " ".join(
        line.removeprefix(sign).strip() for line in text.splitlines() if line.startswith(sign)
    )


# --- Resilience4j ---------------------------------------------------------------------------------

# The properties of an instance and their kinds, copied by hand from the InstanceProperties classes
# of resilience4j-framework-common 2.x (CommonCircuitBreakerConfigurationProperties and its likes).
R4J_PROPERTIES = {
    "circuitbreaker": {
        "failureRateThreshold": "float",
        "slowCallRateThreshold": "float",
        "slowCallDurationThreshold": "duration",
        "slidingWindowType": "COUNT_BASED|TIME_BASED",
        "slidingWindowSize": "int",
        "minimumNumberOfCalls": "int",
        "waitDurationInOpenState": "duration",
        "permittedNumberOfCallsInHalfOpenState": "int",
        "automaticTransitionFromOpenToHalfOpenEnabled": "bool",
        "maxWaitDurationInHalfOpenState": "duration",
    },
    "timelimiter": {"timeoutDuration": "duration", "cancelRunningFuture": "bool"},
    "bulkhead": {"maxConcurrentCalls": "int", "maxWaitDuration": "duration"},
    "retry": {"maxAttempts": "int", "waitDuration": "duration"},
}
KINDS = {
    "float": r"[0-9]+(\.[0-9]+)?",
    "int": r"[1-9][0-9]*",
    "bool": r"True|False",
    # Spring Boot's simple form of a Duration.
    "duration": r"[0-9]+(ns|us|ms|s|m|h|d)",
    "COUNT_BASED|TIME_BASED": r"COUNT_BASED|TIME_BASED",
}


@each_protection
def test_resilience4j_knows_every_property(name: str) -> None:
    (document,) = documents(FORMATS["resilience4j"](PROTECTIONS[name], "stock"))
    modules = document["resilience4j"]
    assert "circuitbreaker" in modules
    for module, content in modules.items():
        for key, value in content["instances"]["stock"].items():
            kind = R4J_PROPERTIES[module][key]
            assert re.fullmatch(KINDS[kind], str(value)), (module, key, value)


def test_resilience4j_has_what_was_replayed() -> None:
    (document,) = documents(FORMATS["resilience4j"](RESILIENCE4J, "stock"))
    modules = document["resilience4j"]
    breaker = modules["circuitbreaker"]["instances"]["stock"]
    assert (breaker["slidingWindowType"], breaker["slidingWindowSize"]) == ("TIME_BASED", 30)
    assert breaker["waitDurationInOpenState"] == "60000ms"
    assert modules["timelimiter"]["instances"]["stock"]["timeoutDuration"] == "800ms"
    said = _comments(FORMATS["resilience4j"](OPOSSUM, "stock"), "#")
    assert "25 % opens only Resilience4j" in said


# --- Envoy and Istio ------------------------------------------------------------------------------


def _validate(tmp_path: Path, exported: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(bootstrap(exported)), encoding="utf-8")
    return subprocess.run(
        [str(PROGRAM), "--mode", "validate", "--config-path", str(path), "--log-level", "error"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@each_protection
def test_envoy_itself_takes_each(tmp_path: Path, name: str) -> None:
    (exported,) = documents(FORMATS["envoy"](PROTECTIONS[name], "stock"))
    done = _validate(tmp_path, exported)
    assert done.returncode == 0, done.stderr


def test_envoy_refuses_a_field_that_it_does_not_know(tmp_path: Path) -> None:
    (exported,) = documents(FORMATS["envoy"](ENVOY, "stock"))
    exported["cluster"]["outlier_detection"]["consecutive_6xx"] = 5
    assert _validate(tmp_path, exported).returncode != 0


def test_envoy_has_what_was_replayed() -> None:
    (exported,) = documents(FORMATS["envoy"](ENVOY, "stock"))
    assert exported["cluster"]["outlier_detection"] == {
        "consecutive_5xx": 5,
        "interval": "10s",
        "base_ejection_time": "30s",
        "max_ejection_time": "300s",
        "max_ejection_percent": 100,
        "always_eject_one_host": False,
    }
    assert exported["cluster"]["circuit_breakers"]["thresholds"][0]["max_requests"] == 50
    retry = exported["route"]["retry_policy"]
    assert (retry["num_retries"], retry["per_try_timeout"]) == (1, "2s")
    assert retry["retry_back_off"]["base_interval"] == "0.1s"


@each_protection
def test_the_schemas_of_istio_take_each(name: str) -> None:
    resources = documents(FORMATS["istio"](PROTECTIONS[name], "stock"))
    run("read_istio.mjs", str(MODULES), given=json.dumps(resources))
    types = MODULES / "@kubernetes-models" / "istio" / "networking.istio.io" / "v1"
    for resource in resources:
        declared = (types / f"{resource['kind']}.d.ts").read_text(encoding="utf-8")
        # The schemas let unknown fields pass, so each is looked up in the types made from the CRDs.
        for key in _keys(resource["spec"]):
            assert re.search(rf'"{key}"\??:', declared), (resource["kind"], key)


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in _keys(inner)}
    if isinstance(value, list):
        return {key for inner in value for key in _keys(inner)}
    return set()


def test_what_a_proxy_cannot_say_stands_above_it() -> None:
    for name in ("envoy", "istio"):
        apart = _comments(FORMATS[name](ENVOY, "stock"), "#")
        assert "a breaker for each route" in apart
        assert "before a retry" in apart
        shared = _comments(FORMATS[name](replace(ENVOY, is_shared=True), "stock"), "#")
        assert "a breaker for each route" not in shared
    assert "HTTP/1.1 wait" in _comments(FORMATS["envoy"](ENVOY, "stock"), "#")


@pytest.mark.parametrize(("name", "sign"), [("opossum", "//"), ("resilience4j", "#")])
def test_how_many_breakers_were_replayed_stands_above_them(name: str, sign: str) -> None:
    each = _comments(FORMATS[name](replace(OPOSSUM, clients=3), "stock"), sign)
    assert "a breaker for each route" in each
    assert "in each of 3 processes" in each
    shared = _comments(FORMATS[name](replace(OPOSSUM, is_shared=True), "stock"), sign)
    assert "one breaker for all routes" in shared
    assert "processes" not in shared
    none = _comments(FORMATS[name](PROTECTIONS["a deadline alone"], "stock"), sign)
    assert "for each route" not in none


# --- JSON, and YAML as such -----------------------------------------------------------------------


@each_protection
def test_json_gives_the_same_protection_back(name: str) -> None:
    document = json.loads(FORMATS["json"](PROTECTIONS[name], "stock"))
    assert document.pop("name") == "stock"
    assert from_document(document) == PROTECTIONS[name]


def test_yaml_reads_as_what_was_written() -> None:
    written: dict[str, Value] = {
        "plain": "inventory",
        "on": "yes",
        "number": "10",
        "odd": ": #'\"\n- é",
        "deep": {"list": [{"a": 1, "b": {"c": True}}, {"d": 1.5}], "words": ["x", "no"]},
    }
    assert documents(block(written)) == [written]
