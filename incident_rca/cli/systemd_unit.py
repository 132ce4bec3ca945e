"""The systemd unit that `incident-rca record --print-unit` prints."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_UNIT = """\
# Save as /etc/systemd/system/incident-rca-record.service, then:
{prepare}#   systemctl daemon-reload && systemctl enable --now incident-rca-record
# The program must be readable for everybody: a venv below /opt is, one below /root is not.
# A password does not stand here: it belongs into /etc/incident-rca/pgpass, as a line
# host:port:database:user:password (mode 0600, owned by root). LoadCredential passes it on.
[Unit]
Description=incident-rca flight recorder for PostgreSQL lock evidence
Documentation=man:systemd.exec(5)
After=network-online.target
Wants=network-online.target

[Service]
Type=exec
ExecStart={command}
Restart=on-failure
RestartSec=10
{place}
{credentials}
# It must never be what a machine in trouble lacks.
Nice=5
CPUQuota=25%
MemoryMax=256M
TasksMax=64
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp={private}
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
"""
# A user of systemd's making may write to the state folder and nowhere else.
_STATE_FOLDER = """\
DynamicUser=yes
StateDirectory=incident-rca
StateDirectoryMode=0700"""
_OWN_FOLDER = """\
User=incident-rca
ReadWritePaths={folder}"""
_PREPARE = """\
#   useradd --system incident-rca
#   install -d -o incident-rca -m 0700 {folder}
"""
_TEMPORARY = {Path("/tmp"), Path("/var/tmp")}
_PLAIN = re.compile(r"[A-Za-z0-9_./:@=,+-]+")


def unit_of(dsns: Sequence[str], to: Path | None, options: Mapping[str, str]) -> str:
    """The unit that records these servers; a password in a DSN is left out of it."""
    from incident_rca.sources.postgres import place_of, without_password

    program = Path(sys.executable).with_name("incident-rca")
    start = [str(program)] if program.is_file() else [sys.executable, "-m", "incident_rca"]
    shown = [without_password(dsn) for dsn in dsns if dsn]
    words = [*start, "record"]
    for dsn in shown:
        words += ["--dsn", dsn]
    for option, value in options.items():
        words += [option, value]
    command = " ".join(quoted(word) for word in words)
    folder = quoted(str(to.absolute())) if to else "%S/incident-rca/recordings"
    needs_password = any(a != b for a, b in zip(shown, filter(None, dsns), strict=True))
    needs_service = any(place_of(dsn)[0] == "service" for dsn in shown)
    credentials = [
        "# " * (not needs_password) + "LoadCredential=pgpass:/etc/incident-rca/pgpass",
        "# " * (not needs_password) + "Environment=PGPASSFILE=%d/pgpass",
        "# " * (not needs_service) + "Environment=PGSERVICEFILE=/etc/incident-rca/pg_service.conf",
    ]
    return _UNIT.format(
        command=f"{command} --to {folder}",
        credentials="\n".join(credentials),
        prepare=_PREPARE.format(folder=shlex.quote(str(to.absolute()))) if to else "",
        place=_OWN_FOLDER.format(folder=folder) if to else _STATE_FOLDER,
        # What is private would hide a folder there from everybody else.
        private="no" if to and {*to.absolute().parents} & _TEMPORARY else "yes",
    )


def quoted(word: str) -> str:
    r"""A word of a command line as systemd reads it (systemd.service, "Command lines").

    >>> print(quoted("plain"), quoted("a b"), quoted('50% "$HOME"'))
    plain "a b" "50%% \"$$HOME\""
    """
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + escaped.replace("%", "%%").replace("$", "$$") + '"'
