"""`python -m incident_rca`."""

from incident_rca.cli import main

main()
