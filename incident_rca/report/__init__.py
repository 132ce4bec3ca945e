"""The report: an `Analysis` as JSON, Markdown and terminal output, all pure."""
