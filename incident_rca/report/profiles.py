"""The forms in which a report can be given to other systems, each from the same Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from incident_rca.report.blocks import without_markers


class Profile(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"
    JIRA = "jira"
    CONFLUENCE = "confluence"
    PLAIN = "plain"


# What one field takes, as far as its maker says: the body of an issue or a comment of GitHub and
# GitLab; Jira's default for a text field.
LONGEST: Mapping[Profile, int] = {
    Profile.GITHUB: 65_536,
    Profile.GITLAB: 1_048_576,
    Profile.JIRA: 32_767,
}


def rendered(text: str, profile: Profile) -> str:
    """A report, with what people wrote in it, as `profile` shows it; not to be merged again."""
    # Here, so that the list of profiles costs no parser.
    from incident_rca.report.folded_markdown import to_folded
    from incident_rca.report.plain_document import to_plain
    from incident_rca.report.wiki_text import to_wiki

    writers: Mapping[Profile, Callable[[str], str]] = {
        Profile.GITHUB: lambda markdown: to_folded(markdown, "WARNING"),
        Profile.GITLAB: lambda markdown: to_folded(markdown, "warning"),
        Profile.JIRA: lambda markdown: to_wiki(markdown, folds=False),
        Profile.CONFLUENCE: lambda markdown: to_wiki(markdown, folds=True),
        Profile.PLAIN: to_plain,
    }
    return writers[profile](without_markers(text))
