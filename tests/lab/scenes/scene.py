"""A scene as tests use it: a context manager around a script that plays on a stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field

from tests.lab.scenes.stage import Script, Stage
from tests.lab.scenes.truth import Truth
from tests.lab.servers import Server, running_server


@dataclass(frozen=True)
class Scene:
    """An incident to re-enact: `with scene(server) as truth:` runs its body while all wait."""

    script: Script = field(repr=False)
    settings: Mapping[str, str] | None = None

    @property
    def name(self) -> str:
        return self.script.__name__

    @property
    def about(self) -> str:
        """The first line of what its script says about itself."""
        return (self.script.__doc__ or "").partition("\n")[0]

    @property
    def own_server(self) -> bool:
        """Whether it starts a server of its own, of the version of the one that it is given."""
        return self.settings is not None

    def __call__(self, server: Server) -> AbstractContextManager[Truth]:
        return self._perform(server)

    @contextmanager
    def _perform(self, server: Server) -> Iterator[Truth]:
        own = self.settings is not None
        where = running_server(server.version, self.settings or {}) if own else nullcontext(server)
        with where as chosen:
            with closing(Stage(chosen, self.script)) as stage:
                stage.truth.advance()
                yield stage.truth
                stage.truth.release()


def scene(script: Script) -> Scene:
    """A scene on the server that it is given."""
    return Scene(script)


def scene_on_own_server(
    settings: Mapping[str, str],
) -> Callable[[Script], Scene]:
    """A scene that needs these settings, and so starts a server of its own."""
    return lambda script: Scene(script, settings)
