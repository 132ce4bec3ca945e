"""incident-rca: from a time window to a root-cause analysis in which every claim cites rows."""

__version__ = "0.1.0"
