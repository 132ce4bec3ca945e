"""A breaker's options as those of another library, with a note where the two differ."""

from __future__ import annotations

from dataclasses import dataclass

from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.protection import BreakerOptions
from incident_rca.whatif.resilience4j import Resilience4jOptions

# Calls that a breaker waits for which never decides: the largest int of Java. A threshold of 100 %
# would not do: Resilience4j opens at it, opossum's rate is above it where calls outlast the window.
_NEVER_REACHED = 2**31 - 1
_STRICT = (
    "opossum opens above its threshold, Resilience4j at it: a rate of just {threshold:g} % opens "
    "only Resilience4j"
)
_COUNTED = (
    "opossum counts every call when it begins, refused ones too, and Resilience4j those that "
    "ended: while calls hang, the same percentage opens opossum later"
)
_IN_A_ROW = (
    "Envoy ejects a host after failures in a row, not at a rate: one success among them begins "
    "the count anew"
)


@dataclass(frozen=True, slots=True)
class Translated:
    """Options of the wanted library, and in a sentence each what they cannot say."""

    options: BreakerOptions
    notes: tuple[str, ...]


def as_opossum(options: BreakerOptions | None) -> Translated:
    """The options for opossum."""
    if isinstance(options, OpossumOptions):
        return Translated(options, ())
    if isinstance(options, Resilience4jOptions):
        window_ms, notes = _window_of(options)
        found = OpossumOptions(
            error_threshold_percentage=options.failure_rate_threshold,
            rolling_count_timeout_ms=window_ms,
            volume_threshold=options.minimum_number_of_calls,
            reset_timeout_ms=options.wait_duration_in_open_state_ms,
        )
        said = (
            _STRICT.format(threshold=options.failure_rate_threshold),
            _COUNTED,
            *notes,
            "opossum tries one call when it is half open, not "
            f"{options.permitted_number_of_calls_in_half_open_state}, and knows no slow calls",
        )
        return Translated(found, said)
    if isinstance(options, EnvoyOptions):
        found = OpossumOptions(
            error_threshold_percentage=50,
            volume_threshold=options.consecutive_5xx,
            reset_timeout_ms=options.base_ejection_time_ms,
        )
        return Translated(found, (_IN_A_ROW, "opossum knows no hosts, and opens for a fixed time"))
    return Translated(OpossumOptions(volume_threshold=_NEVER_REACHED), (_never_opens("opossum"),))


def as_resilience4j(options: BreakerOptions | None) -> Translated:
    """The options for Resilience4j."""
    if isinstance(options, Resilience4jOptions):
        return Translated(options, ())
    if isinstance(options, OpossumOptions):
        seconds = max(1, -(-options.rolling_count_timeout_ms // 1000))
        found = Resilience4jOptions(
            failure_rate_threshold=min(100, max(1, options.error_threshold_percentage)),
            sliding_window_type="TIME_BASED",
            sliding_window_size=seconds,
            minimum_number_of_calls=max(1, options.volume_threshold),
            wait_duration_in_open_state_ms=options.reset_timeout_ms,
            permitted_number_of_calls_in_half_open_state=1,
        )
        said = (
            _STRICT.format(threshold=options.error_threshold_percentage),
            _COUNTED,
            "Resilience4j is half open only once it is asked, opossum by a timer",
            *(["Resilience4j has no warm-up"] if options.allow_warm_up else []),
        )
        return Translated(found, said)
    if isinstance(options, EnvoyOptions):
        found = Resilience4jOptions(
            failure_rate_threshold=100,
            sliding_window_size=options.consecutive_5xx,
            minimum_number_of_calls=options.consecutive_5xx,
            wait_duration_in_open_state_ms=options.base_ejection_time_ms,
            permitted_number_of_calls_in_half_open_state=1,
        )
        said = (
            "Resilience4j knows no hosts: it refuses every call where Envoy leaves a host out",
            "Envoy stays away longer each time, Resilience4j always as long",
        )
        return Translated(found, said)
    never = Resilience4jOptions(
        sliding_window_type="TIME_BASED", minimum_number_of_calls=_NEVER_REACHED
    )
    return Translated(never, (_never_opens("Resilience4j"),))


def as_envoy(options: BreakerOptions | None) -> Translated:
    """The options for Envoy's outlier detection, which refuses only with no panic threshold."""
    if isinstance(options, EnvoyOptions):
        return Translated(options, _envoy_notes(options))
    if isinstance(options, OpossumOptions):
        in_a_row, open_ms = options.volume_threshold, options.reset_timeout_ms
    elif isinstance(options, Resilience4jOptions):
        in_a_row = options.minimum_number_of_calls
        open_ms = options.wait_duration_in_open_state_ms
    else:
        return Translated(EnvoyOptions(), (_never_opens("Envoy"),))
    found = EnvoyOptions(
        consecutive_5xx=max(1, in_a_row),
        base_ejection_time_ms=open_ms,
        max_ejection_time_ms=max(EnvoyOptions().max_ejection_time_ms, open_ms),
        interval_ms=min(EnvoyOptions().interval_ms, open_ms),
        max_ejection_percent=100,
        healthy_panic_percent=0,
    )
    said = (
        _IN_A_ROW,
        "Envoy has no half-open state: a host returns at a sweep and gets all of its calls again",
        "Envoy stays away longer each time that a host is ejected",
    )
    return Translated(found, (*said, *_envoy_notes(found)))


def _envoy_notes(options: EnvoyOptions) -> tuple[str, ...]:
    can_refuse = options.max_ejection_percent >= 100 and not options.healthy_panic_percent
    if can_refuse:
        return ("calls fail fast only while every host is ejected",)
    return (
        "with this panic threshold and share of ejected hosts Envoy never refuses a call: it goes "
        "on calling hosts that share a pool that is exhausted",
    )


def _window_of(options: Resilience4jOptions) -> tuple[int, tuple[str, ...]]:
    if options.sliding_window_type == "TIME_BASED":
        return options.sliding_window_size * 1000, ()
    return OpossumOptions().rolling_count_timeout_ms, (
        f"opossum has a window of time, not of the last {options.sliding_window_size} calls",
    )


def _never_opens(library: str) -> str:
    return f"no breaker was replayed: {library} is set so that only its time-out acts"
