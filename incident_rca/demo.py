"""The packaged sample, copied to where a user can look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

from incident_rca import case as case_folder
from incident_rca.errors import BadInput
from incident_rca.packaged import packaged_path


def prepare_demo(target: Path) -> Path:
    """A copy of the packaged sample in `target`; an earlier copy is used again.

    Raises BadInput where `target` holds something else.
    """
    sample = packaged_path("samples", "inc-2847")
    known = case_folder.read_case(sample)
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target}: is a file", hint="name a folder: --into DIR")
    if target.exists() and any(target.iterdir()):
        if not case_folder.exists(target) or case_folder.read_case(target).id != known.id:
            raise BadInput(
                f"{target}: holds something else than the demo", hint="name another: --into DIR"
            )
    shutil.copytree(sample / case_folder.RAW, target / case_folder.RAW, dirs_exist_ok=True)
    shutil.copyfile(sample / case_folder.MANIFEST, target / case_folder.MANIFEST)
    return target
