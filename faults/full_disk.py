"""Disks that are full at random writes: a small one of their own, or a limit on every file.

Where the kernel lets a user mount in a name space of his own, a command runs on a tmpfs that has
room for a random number of bytes more: each write beyond gets ENOSPC, that of DuckDB as well as
ours. Everywhere a limit on the size of files (RLIMIT_FSIZE) does nearly the same with EFBIG.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

from faults.commands import Place, run
from faults.kills import INCOMPLETE, WHOLE, left_wrong
from faults.scenes import CASE, Scene, difference, files_of, fresh, reports_after
from tests.cli.running import Ran

NO_ROOM = ("No space left on device", "File too large")
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_REMOUNT, _READ_ONLY = 32, 1
# More than any scene takes.
AMPLE_BYTES = 200_000_000


def rooms(scene: Scene, count: int, seed: int, most_bytes: int) -> list[int]:
    """So many sizes, as many of 10 to 100 kB as of 100 kB to 1 MB: most files are small."""
    drawn = random.Random(f"{seed} room {scene.name}")
    return [round(4096 * (most_bytes / 4096) ** drawn.random()) for _ in range(count)]


def on_small_disk(
    scene: Scene, place: Place, room_bytes: int, wanted: dict[str, bytes]
) -> list[str] | None:
    """What is wrong where a command has so many bytes; None where nobody may mount."""

    def task() -> list[str]:
        for words in scene.before:
            run(place, *words)
        _resize(place.folder, _used(place.folder) + room_bytes)
        ran = run(place, *scene.command)
        problems = [*_untold(ran), *left_wrong(place)]
        _resize(place.folder, AMPLE_BYTES)
        return [*problems, *_gone_on(scene, place, wanted)]

    found = mounted(place.folder, task)
    return None if found is None else [f"{scene.name}, {room_bytes} bytes: {p}" for p in found]


def under_limit(
    scene: Scene, place: Place, limit_bytes: int, wanted: dict[str, bytes]
) -> list[str]:
    """What is wrong where no file may grow above so many bytes."""
    for words in scene.before:
        run(place, *words)
    ran = run(place, *scene.command, file_limit=limit_bytes)
    problems = [*_untold(ran), *left_wrong(place), *_gone_on(scene, place, wanted)]
    fresh(place)
    return [f"{scene.name}, files of {limit_bytes} bytes: {problem}" for problem in problems]


def _untold(ran: Ran) -> list[str]:
    """An end in disorder, or one without a word of what is missing."""
    if ran.code == WHOLE:
        return []
    told = [reason for reason in NO_ROOM if reason in ran.err]
    if ran.code in (2, INCOMPLETE, 4) and told:
        return []
    return [f"ended with {ran.code}: {ran.err}"]


def _gone_on(scene: Scene, place: Place, wanted: dict[str, bytes]) -> list[str]:
    """What is wrong after the same command with enough room."""
    for words in (scene.command, *reports_after(scene)):
        ran = run(place, *words)
        if ran.code not in (WHOLE, INCOMPLETE):
            return [f"{words[0]} again ended with {ran.code}: {ran.err}"]
    return difference(files_of(place.folder / CASE), wanted)


# --- a small disk ---------------------------------------------------------------------------------


def mounted(folder: Path, task: Callable[[], list[str]]) -> list[str] | None:
    """What a task gives in a process to which a tmpfs stands in the place of `folder`."""
    ours, theirs = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.close(ours)
            try:
                found = task() if _mount(folder) else None
            except (AssertionError, OSError) as error:
                found = [f"{type(error).__name__}: {error}"]
            os.write(theirs, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        said = answer.read()
    os.waitpid(process, 0)
    found = json.loads(said) if said else ["the task itself failed"]
    return None if found is None else [str(problem) for problem in found]


def may_mount(folder: Path) -> bool:
    """Whether this system lets its user put a disk of his own there."""
    return mounted(folder, lambda: []) is not None


def _mount(folder: Path) -> bool:
    """Puts a tmpfs there for this process and its children; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if not hasattr(libc, "unshare") or libc.unshare(_NEW_USER | _NEW_MOUNTS):
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    except OSError:
        return False
    return _mount_call(libc, folder, 0, AMPLE_BYTES) == 0


def read_only(folder: Path) -> None:
    """Makes the mounted disk refuse every write."""
    libc = ctypes.CDLL(None, use_errno=True)
    if _mount_call(libc, folder, _REMOUNT | _READ_ONLY, AMPLE_BYTES):
        raise OSError(ctypes.get_errno(), "the small disk cannot be made read-only")


def _resize(folder: Path, size_bytes: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if _mount_call(libc, folder, _REMOUNT, size_bytes):
        raise OSError(ctypes.get_errno(), "the small disk does not take another size")


def _mount_call(libc: ctypes.CDLL, folder: Path, flags: int, size_bytes: int) -> int:
    # Whole pages, at least one: no size at all means no limit.
    pages = -(-size_bytes // 4096) or 1
    options = f"size={pages * 4096}".encode()
    return int(libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", flags, options))


def _used(folder: Path) -> int:
    known = os.statvfs(folder)
    return (known.f_blocks - known.f_bfree) * known.f_frsize
