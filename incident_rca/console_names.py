"""What names an answer in its service's own console, where it can be part of a link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Datadog's own sites, and what AWS allows in names of regions, log groups, APIs and stages. A file
# from elsewhere must not lead to a page of somebody else.
_OF_CONSOLE = {
    "site": re.compile(r"(?:[a-z0-9-]+\.)?(?:datadoghq\.com|datadoghq\.eu|ddog-gov\.com)"),
    "region": re.compile(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]+"),
    "log_group": re.compile(r"[\w./#-]{1,512}", re.ASCII),
    "ApiName": re.compile(r"[ -~]{1,1024}"),
    "ApiId": re.compile(r"[a-z0-9]{1,64}"),
    "Stage": re.compile(r"[\w$-]{1,128}", re.ASCII),
}


def known_console(given: Mapping[str, Any]) -> Mapping[str, str]:
    """What can be part of a link.

    >>> known_console({"region": "eu-west-1", "log_group": "a b", "more": "x"})
    {'region': 'eu-west-1'}
    """
    return {
        name: value
        for name, shape in _OF_CONSOLE.items()
        if isinstance(value := given.get(name), str) and shape.fullmatch(value)
    }
