"""The packaged samples, one of which is copied to where a user can look at it."""

from __future__ import annotations

import difflib
from pathlib import Path

from incident_rca import case as case_folder
from incident_rca.errors import BadInput
from incident_rca.packaged import packaged_path

# The first one is shown where none is named. Each is in pyproject.toml too, to travel in the wheel.
SAMPLES = ("inc-2847", "lab-index-build", "lab-unrelated-lock")


def prepare_demo(target: Path, name: str = SAMPLES[0]) -> Path:
    """A copy of the packaged sample of this name in `target`; an earlier copy is used again.

    Raises BadInput where there is no such sample, and where `target` holds something else.
    """
    if name not in SAMPLES:
        near = difflib.get_close_matches(name, SAMPLES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the samples are: {', '.join(SAMPLES)}"
        raise BadInput(f"there is no sample {name!r}", hint=hint)
    sample = packaged_path("samples", name)
    known = case_folder.read_case(sample)
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target}: is a file", hint="name a folder: --into DIR")
    if target.exists() and any(target.iterdir()):
        if not case_folder.exists(target) or case_folder.read_case(target).id != known.id:
            raise BadInput(
                f"{target}: holds something else than the demo", hint="name another: --into DIR"
            )
    with case_folder.private():
        (target / case_folder.RAW).mkdir(parents=True, exist_ok=True)
        # First what says that it is the demo, so that one that is killed can be begun again.
        manifest = (sample / case_folder.MANIFEST).read_bytes()
        case_folder.write_bytes(target / case_folder.MANIFEST, manifest)
        for file in sorted((sample / case_folder.RAW).iterdir()):
            case_folder.keep_raw(target, file, f"{case_folder.RAW}/{file.name}")
    return target
