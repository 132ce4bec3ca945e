"""Charts drawn by a process of their own, which makes ready while a case is analysed.

The converter brings an engine for JavaScript that takes a third of a second to start, and while it
draws it keeps Python's lock: a thread would save nothing. Where no such process is to be had the
charts are drawn here, and look the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

Picture = tuple[str, bytes]
"""A chart as SVG text and as PNG."""
Specs = Sequence[Mapping[str, Any]]
Draw = Callable[[Specs], Callable[[], Sequence[Picture]]]
"""Takes the specifications of charts, and gives what waits for their pictures."""

_ASKED = "specs.json"
# Nothing to see, but everything that the engine loads has to be there to draw it.
_NOTHING: Mapping[str, Any] = {"description": "", "data": {"values": []}, "mark": "point"}


def draw_here(specs: Specs) -> Callable[[], Sequence[Picture]]:
    """Draws in this process, when the pictures are asked for."""
    return partial(_pictures, specs)


@contextmanager
def painter() -> Iterator[Draw]:
    """What draws in a process of its own, which ends with the block."""
    if (os.cpu_count() or 1) < 2:
        yield draw_here
        return
    with tempfile.TemporaryDirectory(prefix="incident-rca-") as folder:
        try:
            process = _started(Path(folder))
        except OSError:
            yield draw_here
            return
        with process:
            try:
                yield partial(_hand_over, process, Path(folder))
            finally:
                process.kill()


def _started(folder: Path) -> subprocess.Popen[bytes]:
    # Without -P a file of the working folder could pass for a module; in a session of its own it is
    # not struck by Ctrl-C, and tells nothing of that.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _hand_over(
    process: subprocess.Popen[bytes], folder: Path, specs: Specs
) -> Callable[[], Sequence[Picture]]:
    assert process.stdin is not None
    (folder / _ASKED).write_text(json.dumps([dict(spec) for spec in specs]), encoding="utf-8")
    process.stdin.close()

    def pictures() -> Sequence[Picture]:
        if process.wait() != 0:
            return _pictures(specs)
        return [_read(folder, number) for number in range(len(specs))]

    return pictures


def _pictures(specs: Specs) -> list[Picture]:
    from incident_rca.report.charts.drawing import to_png, to_svg

    drawn = [to_svg(spec) for spec in specs]
    return [(svg, to_png(svg)) for svg in drawn]


def _places(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"{number}.svg", folder / f"{number}.png"


def _read(folder: Path, number: int) -> Picture:
    svg, png = _places(folder, number)
    return svg.read_bytes().decode("utf-8"), png.read_bytes()


def _paint(folder: Path, signal: IO[bytes]) -> None:
    """What the process does: once its input ends, it draws what it finds in the folder.

    It ends too where who started it is gone, and has left nothing to draw.
    """
    _pictures([_NOTHING])
    signal.read()
    specs = json.loads((folder / _ASKED).read_text(encoding="utf-8"))
    for number, (svg, png) in enumerate(_pictures(specs)):
        to_svg, to_png = _places(folder, number)
        to_svg.write_bytes(svg.encode("utf-8"))
        to_png.write_bytes(png)


if __name__ == "__main__":
    _paint(Path(sys.argv[1]), os.fdopen(0, "rb"))
