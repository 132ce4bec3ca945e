"""Every ticket system by a local server of it: how it is named, and what it holds in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from incident_rca import attaching
from incident_rca.attaching import Parcel, target_of
from incident_rca.settings import Settings
from incident_rca.tickets.delivery import Outcome
from tests.sources.fake_clock import FakeClock
from tests.tickets import github_server, jira_server, pagerduty_server, slack_server
from tests.tickets.http_service import Service, running

NAMES = ("jira", "github", "pagerduty", "slack")


@dataclass
class Lab:
    """A running system; `holder` is what its server keeps."""

    name: str
    to: str
    service: Service
    holder: Any
    environ: Mapping[str, str]
    clock: FakeClock = field(default_factory=FakeClock)

    @property
    def settings(self) -> Settings:
        url = self.service.url + ("/api" if self.name == "slack" else "")
        given: Mapping[str, Any] = {f"tickets_{self.name}": url}
        return replace(Settings(), **given)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that attaches to it."""
        url = getattr(self.settings, f"tickets_{self.name}")
        return {**self.environ, f"INCIDENT_RCA_TICKETS_{self.name.upper()}": url}

    def attach(self, parcel: Parcel, **more: Any) -> list[Outcome]:
        target = target_of(self.to, self.settings, self.environ)
        given = {"environ": self.environ, "clock": self.clock, "timeout_seconds": 1000.0, **more}
        return list(attaching.attach(parcel, target, **given))

    def posts(self) -> list[str]:
        """The text of each post that is there, in order."""
        match self.holder:
            case jira_server.Issue():
                return [self.holder.texts(id) for id in sorted(self.holder.comments, key=int)]
            case github_server.Issue():
                return list(self.holder.comments.values())
            case pagerduty_server.Incident():
                return list(self.holder.notes.values())
            case _:
                ordered = sorted(self.holder.messages.items())
                return ["".join(slack_texts(given["blocks"])) for _, given in ordered]

    def files(self) -> list[tuple[str, bytes]]:
        """Name and content of each file that is there, by name."""
        match self.holder:
            case jira_server.Issue():
                return sorted(self.holder.attachments.values())
            case slack_server.Channel():
                return sorted((name, content) for name, content, _ in self.holder.files.values())
        return []


def slack_texts(node: Any) -> list[str]:
    """Every text of rich text blocks in order, sections ended by a line end."""
    if isinstance(node, list):
        return [text for child in node for text in slack_texts(child)]
    if node["type"] == "text":
        return [node["text"]]
    return [*slack_texts(node["elements"]), *(["\n"] if "section" in node["type"] else [])]


@contextmanager
def running_lab(name: str) -> Iterator[Lab]:
    holder: Any
    match name:
        case "jira":
            holder, to = jira_server.Issue(), f"jira:{jira_server.KEY}"
            environ = {"JIRA_EMAIL": jira_server.EMAIL, "JIRA_API_TOKEN": jira_server.TOKEN}
        case "github":
            holder = github_server.Issue()
            to = f"github:{github_server.REPOSITORY}#{github_server.NUMBER}"
            environ = {"GITHUB_TOKEN": github_server.TOKEN}
        case "pagerduty":
            holder, to = pagerduty_server.Incident(), f"pagerduty:{pagerduty_server.INCIDENT}"
            environ = {
                "PAGERDUTY_TOKEN": pagerduty_server.TOKEN,
                "PAGERDUTY_FROM": pagerduty_server.USER,
            }
        case _:
            # By its id, so that messages can be looked for; by its name in tests of that.
            holder, to = slack_server.Channel(), f"slack:{slack_server.CHANNEL}"
            environ = {"SLACK_BOT_TOKEN": slack_server.TOKEN}
    with running(Service(holder.answer)) as service:
        if name == "slack":
            holder.url = service.url
        yield Lab(name, to, service, holder, environ)


def add_pictures(folder: Path) -> None:
    """A page and charts beside the report, small ones."""
    (folder / "report.html").write_text("<!doctype html><title>INC-2847</title>\n")
    (folder / "charts").mkdir(exist_ok=True)
    for name in ("timeline.png", "timeline.svg", "errors.svg"):
        (folder / "charts" / name).write_bytes(f"picture {name}".encode())
