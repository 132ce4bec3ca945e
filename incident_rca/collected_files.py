"""Files on their way into raw/: which are new, and where each is written until it is whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from incident_rca import case as case_folder
from incident_rca.model import RawFile, SourceState, SourceStatus


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is to stand at `path` in the case, and is complete at `at`, beside it."""

    path: str
    at: Path


def incoming(folder: Path, name: str, parts: ExitStack) -> Incoming:
    """A free place in raw/ for a file of this name; what is not put there goes with `parts`."""
    stem, suffix = Path(name).stem, Path(name).suffix
    names = chain([name], (f"{stem}-{number}{suffix}" for number in count(2)))
    path = next(path for n in names if not (folder / (path := f"{case_folder.RAW}/{n}")).exists())
    at = (folder / path).with_name(f".{Path(path).name}{case_folder.PART}")
    at.parent.mkdir(parents=True, exist_ok=True)
    parts.callback(at.unlink, missing_ok=True)
    return Incoming(path, at)


def copied(folder: Path, files: Mapping[str, Path], parts: ExitStack) -> list[Incoming]:
    """Copies of files by their names, each as `incoming`."""
    news = []
    for name, path in files.items():
        news.append(incoming(folder, name, parts))
        shutil.copyfile(path, news[-1].at)
    return news


def intact(folder: Path, source: SourceStatus | None) -> list[RawFile]:
    """The files of a source as it stands that are there as they were collected."""
    if source is None or source.state is not SourceState.FAILED:
        return list(source.files) if source else []
    return [file for file in source.files if not case_folder.problem_of(folder, file)]


def sort_out(
    folder: Path, kept: Sequence[RawFile], found: Mapping[str, Path], elsewhere: Collection[str]
) -> tuple[list[RawFile], dict[str, Path]]:
    """The kept files that stay, and the found ones that they do not hold.

    A file that has only been appended to takes the place of its shorter copy. `elsewhere` are
    hashes of files that another source of the case has.
    """
    stay, new = list(kept), {}
    for name, path in found.items():
        copies = [file for file in stay if _is_copy(file.path, name)]
        if any(_begins_with(folder / file.path, path) for file in copies):
            continue
        if elsewhere and case_folder.sha256_of(path) in elsewhere:
            continue
        shorter = [file for file in copies if _begins_with(path, folder / file.path)]
        stay = [file for file in stay if file not in shorter]
        new[name] = path
    return stay, new


def _is_copy(path: str, name: str) -> bool:
    stem, suffix = Path(name).stem, Path(name).suffix
    return bool(re.fullmatch(rf"{re.escape(stem)}(-\d+)?{re.escape(suffix)}", Path(path).name))


def _begins_with(longer: Path, shorter: Path) -> bool:
    """Whether a file begins with all that another one holds."""
    if longer.stat().st_size < shorter.stat().st_size:
        return False
    with shorter.open("rb") as one, longer.open("rb") as other:
        while chunk := one.read(1 << 20):
            if other.read(len(chunk)) != chunk:
                return False
    return True
