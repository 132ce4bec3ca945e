"""The report as one self-contained page: an `Analysis` as HTML text, pure."""
