"""Lint of SQL migrations: which lock each statement takes, whom that blocks, and the safe way."""
