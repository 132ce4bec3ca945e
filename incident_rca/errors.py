"""One tree of errors: each says what, where and what to do, and carries the exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    COMPLETE = 0
    FINDINGS = 1
    USAGE = 2
    INCOMPLETE = 3
    NO_EVIDENCE = 4
    BUG = 70
    INTERRUPTED = 130


class IncidentRcaError(Exception):
    """The root; `hint` says what to do and is printed on a line of its own."""

    exit_code = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


# --- usage and configuration: exit 2 ---------------------------------------------------------


class BadWindow(IncidentRcaError):
    """A window that is reversed, ambiguous, in the future, too long or not a time at all."""


class BadSettings(IncidentRcaError):
    """A settings file that cannot be read, or that has an unknown key or a wrong value."""


class NoSuchCase(IncidentRcaError):
    """The case folder does not exist, or is none."""


class NoSuchHypothesis(IncidentRcaError):
    """The report of a case has no hypothesis of that id."""


class NewerCase(IncidentRcaError):
    """The case was written by a newer version than this one."""


class UnknownFormat(IncidentRcaError):
    """A file whose content is of no known kind."""


class BadInput(IncidentRcaError):
    """A file that is of a known kind and from which nothing could be read."""


class EditedReport(IncidentRcaError):
    """A report whose generated part was edited by hand: it is not overwritten unasked."""


class BadTemplate(IncidentRcaError):
    """A team's own template that is no template, or that cannot be filled in."""


class CaseInUse(IncidentRcaError):
    """Another process writes to the case folder, or to the folder of recordings."""


# --- evidence is missing: exit 3 and 4 --------------------------------------------------------


class NoEvidence(IncidentRcaError):
    """Nothing at all could be read."""

    exit_code = ExitCode.NO_EVIDENCE


class NotReplayable(IncidentRcaError):
    """A case whose evidence does not say what a replay needs."""

    exit_code = ExitCode.NO_EVIDENCE


class Unreachable(IncidentRcaError):
    """A service that did not answer, or refused us."""

    exit_code = ExitCode.NO_EVIDENCE
