"""Incidents that really happen, in half a minute each, with what is true of them stated before.

A scene runs PostgreSQL, the services around it, a gateway, a metrics agent and the product's own
recorder on loopback; clients send requests at fixed instants, an actor breaks something, and what
the programs logged becomes a case by the product's own commands. No row of it is made up.

| module | what it has |
| --- | --- |
| `services/` | the programs, each a process of its own |
| `stack` | all of them, set up and running |
| `load` | what the clients send, and when |
| `scenes/` | what the actors do, and the truth of each |
| `stage` | a scene played to its case and report |
| `truth` | what is true of a scene, and where a report contradicts it |
| `recordings` | the cases of scenes that were kept, in `tests/lab/recorded/` |

`python -m tests.lab.incidents --help` plays them.
"""
