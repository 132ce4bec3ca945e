"""Settings of a protection as people and files write them, each checked before it is used."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, get_args, get_type_hints

import msgspec

from incident_rca.errors import BadSettings
from incident_rca.whatif.envoy import EnvoyOptions
from incident_rca.whatif.opossum import OpossumOptions
from incident_rca.whatif.protection import BreakerOptions, Protection
from incident_rca.whatif.resilience4j import Resilience4jOptions, WindowType

NONE = "none"
DEADLINE = "deadline"
# The settings of a protection beside its breaker's, by the names of the command, and their fields.
OWN: Mapping[str, str] = {
    DEADLINE: "deadline_ms",
    "retries": "retries",
    "backoff": "backoff_ms",
    "bulkhead": "places",
}
BREAKERS: Mapping[str, type[BreakerOptions]] = {
    "opossum": OpossumOptions,
    "resilience4j": Resilience4jOptions,
    "envoy": EnvoyOptions,
}
# The time-out of each library, where nobody sets one: opossum's own, that of Resilience4j's
# TimeLimiter, that of an Envoy route.
DEADLINES_MS: Mapping[str, int] = {
    NONE: 0,
    "opossum": 10_000,
    "resilience4j": 1_000,
    "envoy": 15_000,
}

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_TRUTH = {"true": True, "false": False}


def milliseconds(name: str, text: str) -> int:
    """A duration such as `500ms`, `2s` or `1.5s`; raises BadSettings for any other.

    >>> milliseconds("deadline", "1.5s")
    1500
    """
    match = _DURATION.fullmatch(text)
    value = float(match[1]) * _UNIT_MS[match[2]] if match else 0.5
    if value != int(value):
        raise BadSettings(
            f"{name} {text!r} is not a whole number of milliseconds with its unit",
            hint="write it as 500ms, 2s or 1m",
        )
    return int(value)


def breaker_named(name: str) -> BreakerOptions | None:
    """A breaker with its library's own defaults; None for `none`."""
    if name == NONE:
        return None
    known = BREAKERS.get(name)
    if known is None:
        raise BadSettings(
            f"no breaker is called {name}", hint=f"it is one of {', '.join([NONE, *BREAKERS])}"
        )
    return known()


def name_of(options: BreakerOptions | None) -> str:
    """The library of a breaker's options."""
    return next((name for name, kind in BREAKERS.items() if isinstance(options, kind)), NONE)


def names_of(options: BreakerOptions) -> dict[str, str]:
    """Each option by the library's own name for it, and the field that holds it here."""
    return {_library_name(options, field.name): field.name for field in fields(options)}


def _library_name(options: BreakerOptions, field: str) -> str:
    name = field.removesuffix("_ms")
    if isinstance(options, EnvoyOptions):
        return name
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def with_options(options: BreakerOptions | None, given: Iterable[str]) -> BreakerOptions | None:
    """The options with those of `NAME=VALUE`, by the library's names; raises BadSettings."""
    changed: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if options is None:
            raise BadSettings(
                f"{item}: there is no breaker to set this of", hint="choose one: --breaker"
            )
        if not equals:
            raise BadSettings(f"{item}: has no value", hint="write it as NAME=VALUE")
        changed[field_named(options, name)] = value_of(options, name, value)
    if options is None:
        return None
    return checked(replace(options, **changed))


def field_named(options: BreakerOptions, name: str) -> str:
    """The field of an option by the library's name; raises BadSettings, naming the nearest."""
    names = names_of(options)
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, names, n=1) or sorted(names)
    raise BadSettings(
        f"{name_of(options)} has no option {name} that this model knows",
        hint=f"did you mean {near[0]}?" if len(near) == 1 else f"it knows {', '.join(near)}",
    )


def value_of(options: BreakerOptions, name: str, text: str) -> Any:
    """The value of an option, by the library's name, from its text; raises BadSettings."""
    field = field_named(options, name)
    if field.endswith("_ms"):
        return milliseconds(name, text)
    kind = next(str(f.type) for f in fields(options) if f.name == field)
    read: Mapping[str, Callable[[str], Any]] = {
        "bool": _TRUTH.__getitem__,
        "int": int,
        "float": float,
    }
    try:
        return read.get(kind, str)(text)
    except (KeyError, ValueError):
        kind = {"bool": "true or false", "int": "a whole number"}.get(kind, "a number")
        raise BadSettings(
            f"{name}: {text!r} is not {kind}", hint="write it as NAME=VALUE"
        ) from None


def checked(options: BreakerOptions) -> BreakerOptions:
    """The options, if the library itself would take them; raises BadSettings."""
    for field in fields(options):
        value = getattr(options, field.name)
        name = _library_name(options, field.name)
        least = 0 if _may_be_zero(field.name) else 1
        if isinstance(value, int | float) and not isinstance(value, bool) and value < least:
            raise BadSettings(f"{name} must be at least {least}, not {value}")
        if _is_percentage(field.name) and not value <= 100:
            raise BadSettings(f"{name} is a percentage, so not {value}")
    if isinstance(options, Resilience4jOptions):
        if options.sliding_window_type not in get_args(WindowType):
            raise BadSettings(f"slidingWindowType is one of {', '.join(get_args(WindowType))}")
    if isinstance(options, OpossumOptions):
        if options.rolling_count_timeout_ms < options.rolling_count_buckets:
            raise BadSettings("rollingCountTimeout must give each bucket a millisecond at least")
    if isinstance(options, EnvoyOptions):
        if options.max_ejection_time_ms < options.base_ejection_time_ms:
            raise BadSettings("max_ejection_time must not be smaller than base_ejection_time")
    return options


def _is_percentage(field: str) -> bool:
    return "percent" in field or field.endswith("rate_threshold")


def _may_be_zero(field: str) -> bool:
    known = ("volume_threshold", "error_threshold_percentage", "update_merge_window_ms")
    return field in known or "percent" in field


def protection_of(
    breaker: str,
    options: Iterable[str],
    *,
    deadline: str | None,
    cancels: bool,
    retries: int,
    backoff: str,
    places: int | None,
    is_shared: bool,
    clients: int,
) -> Protection:
    """A protection from what people write, with the library's own time-out where they name none."""
    return Protection(
        breaker=with_options(breaker_named(breaker), options),
        deadline_ms=DEADLINES_MS[breaker] if deadline is None else milliseconds(DEADLINE, deadline),
        cancels=cancels,
        retries=retries,
        backoff_ms=milliseconds("backoff", backoff),
        places=places,
        is_shared=is_shared,
        clients=clients,
    )


def in_words(protection: Protection) -> str:
    """The settings of a protection in one line, by the names that people write.

    >>> in_words(Protection(deadline_ms=1500, retries=2, backoff_ms=100))
    'deadline 1500ms, retries 2, backoff 100ms'
    """
    limit = protection.deadline_ms
    parts = [f"deadline {duration(limit)}" if limit else "no deadline"]
    if protection.breaker is not None:
        parts += [f"{name} {setting(protection, name)}" for name in names_of(protection.breaker)]
    if protection.retries:
        parts += [f"retries {protection.retries}", f"backoff {duration(protection.backoff_ms)}"]
    if protection.places is not None:
        parts.append(f"at most {protection.places} calls at once")
    if protection.is_shared:
        parts.append("one breaker for all routes")
    if protection.clients > 1:
        parts.append(f"{protection.clients} clients")
    return ", ".join(parts)


def own_value(name: str, text: str) -> int:
    """The value of one of a protection's OWN settings from its text; raises BadSettings."""
    if OWN[name].endswith("_ms"):
        return milliseconds(name, text)
    if not text.isascii() or not text.isdigit():
        raise BadSettings(f"{name}: {text!r} is not a whole number", hint="write it as NAME=VALUE")
    return int(text)


def setting(protection: Protection, name: str) -> str:
    """One of a protection's own settings or of its breaker's options, as people write it."""
    if name in OWN:
        value = getattr(protection, OWN[name])
        return duration(value) if OWN[name].endswith("_ms") else str(value)
    options = protection.breaker
    assert options is not None
    return written(options, name, getattr(options, field_named(options, name)))


def written(options: BreakerOptions, name: str, value: Any) -> str:
    """The value of a breaker's option, by the library's name, as people write it."""
    if field_named(options, name).endswith("_ms"):
        return duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value:g}"


def duration(duration_ms: int) -> str:
    """A duration as `milliseconds` reads it: whole seconds where it is some.

    >>> duration(2000), duration(1500)
    ('2s', '1500ms')
    """
    return f"{duration_ms // 1000}s" if duration_ms % 1000 == 0 else f"{duration_ms}ms"


def to_document(protection: Protection) -> dict[str, Any]:
    """A protection as JSON holds it; `from_document` reads it back."""
    document = asdict(protection)
    options = document.pop("breaker")
    return {"breaker": name_of(protection.breaker), "options": options or {}, **document}


def from_document(document: Mapping[str, Any]) -> Protection:
    """A protection from what `to_document` gave; raises BadSettings where it is none."""
    try:
        rest = dict(document)
        options = breaker_named(rest.pop("breaker"))
        given = rest.pop("options")
        if options is not None:
            options = checked(replace(options, **_of_their_types(type(options), given)))
        return sound(Protection(breaker=options, **_of_their_types(Protection, rest)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadSettings(f"these are no settings of a protection: {error}") from error


def _of_their_types(settings: type, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values as given; raises KeyError or ValueError where the settings take no such value."""
    types = get_type_hints(settings)
    for name, value in given.items():
        msgspec.convert(value, types[name])
    return given


def sound(protection: Protection) -> Protection:
    """The protection, if each of its own numbers is possible; raises BadSettings."""
    least = {"deadline_ms": 0, "retries": 0, "backoff_ms": 0, "clients": 1}
    for name, bound in least.items():
        if getattr(protection, name) < bound:
            raise BadSettings(f"{name} must be at least {bound}")
    if protection.places is not None and protection.places < 1:
        raise BadSettings("the limit of calls at once must be at least 1")
    return protection
