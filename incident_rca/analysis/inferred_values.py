"""One value of a topology that evidence suggests, and whether it could stand in one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from incident_rca.model import Evidence
from incident_rca.model.evidence import require_evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """A value of a table such as `services.stock` or `routes.GET /items`, and why.

    `key` is "" for the table as a whole, `value` is then None. `is_clear` is false for what a
    person must decide.
    """

    table: str
    key: str
    value: Any
    reason: str
    evidence: tuple[Evidence, ...]
    is_clear: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The value, where it is a list of names."""
        return self.value if isinstance(self.value, tuple) else ()


def inferred(
    table: str,
    key: str,
    value: tuple[str, ...] | int | float | None,
    reason: str,
    evidence: tuple[Evidence, ...],
    *,
    is_clear: bool = True,
) -> Inference:
    """The inference; raises Uncited where it rests on nothing."""
    require_evidence(reason, evidence)
    return Inference(
        table=table,
        key=key,
        value=value,
        reason=reason,
        evidence=tuple(dict.fromkeys(evidence)),
        is_clear=is_clear,
    )


def is_method(name: str) -> bool:
    """Whether a name is that of a gRPC method as settings take it.

    >>> is_method("stock.Stock/Reserve"), is_method("Reserve")
    (True, False)
    """
    return bool(re.fullmatch(r"[^\s/]+/[^\s/]+", name))


def is_route(method: str, path: str) -> bool:
    """Whether a gateway's route can stand in settings: `$default` is none that can.

    >>> is_route("GET", "/items/{id}"), is_route("GET", "$default")
    (True, False)
    """
    is_path = re.fullmatch(r"/\S*", path) is not None and "/:" not in path
    return is_path and bool(re.fullmatch(r"[A-Z]+", method))
