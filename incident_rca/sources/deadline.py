"""A connection that waits for an answer only so long, whatever the server does.

`statement_timeout` is kept by the server, so it does not help where the server process is stopped
or its machine hangs while the network still answers. Imported only to connect: it loads psycopg.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg

# Beyond statement_timeout, for the way there and back.
GRACE_SECONDS = 2.0


class DeadlineConnection(psycopg.Connection[tuple[Any, ...]]):
    """Raises OperationalError where an answer takes longer than `answer_within_seconds`.

    The connection is of no use after that and must be closed.
    """

    answer_within_seconds: float = 60.0

    def wait(self, gen: Generator[Any, Any, Any], *given: Any, **named: Any) -> Any:
        """psycopg's own wait, which asks the generator again at least ten times a second."""
        return super().wait(_until(gen, self.answer_within_seconds), *given, **named)


def _until(gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """The same steps as `gen`, up to a time."""
    end = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > end:
                raise psycopg.OperationalError(f"no answer within {seconds:g} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value
