"""Ticket systems that a case can be attached to: one file a system, and this list."""

from __future__ import annotations

from incident_rca.errors import BadSettings
from incident_rca.tickets import folder, github, jira, pagerduty, slack
from incident_rca.tickets.system import System

SYSTEMS: tuple[System, ...] = (
    jira.SYSTEM,
    github.SYSTEM,
    pagerduty.SYSTEM,
    slack.SYSTEM,
    folder.SYSTEM,
)


def system_of(to: str) -> tuple[System, str]:
    """The system that `to` names, and the ticket in it; raises BadSettings where there is none."""
    name, colon, target = to.partition(":")
    found = next((system for system in SYSTEMS if system.name == name), None)
    if found is None or not colon:
        forms = ", ".join(system.form for system in SYSTEMS)
        raise BadSettings(f"`{to}` names no ticket", hint=f"write it as one of {forms}")
    return found, target
