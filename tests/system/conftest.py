"""What these tests need beside Python's packages, said clearly where it is missing."""

from __future__ import annotations

import shutil

import pytest

NEEDED = {
    "chromium": "chromium",
    "cmark-gfm": "cmark-gfm",
    "java": "openjdk-17-jre-headless",
    "pandoc": "pandoc",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ends the run at once where a program is missing: skipped tests would look like passed."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        packages = " ".join(sorted({NEEDED[name] for name in missing}))
        pytest.exit(
            f"not found: {', '.join(missing)}\n"
            f"hint: apt-get install --no-install-recommends {packages} (Debian and Ubuntu)",
            returncode=2,
        )
