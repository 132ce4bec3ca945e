"""What a program publishes of itself: numbers as Prometheus text, timings by DogStatsD."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]


@dataclass
class Numbers:
    """Counters and gauges of one program, by name and labels."""

    values: dict[tuple[str, Labels], float] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, **labels: str) -> None:
        """One more."""
        key = (name, tuple(sorted(labels.items())))
        with self.lock:
            self.kinds[name] = "counter"
            self.values[key] = self.values.get(key, 0.0) + 1.0

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """So many now."""
        with self.lock:
            self.kinds[name] = "gauge"
            self.values[name, tuple(sorted(labels.items()))] = value

    def text(self) -> str:
        """The exposition format 0.0.4 of Prometheus."""
        with self.lock:
            known = sorted(self.values.items())
            kinds = dict(self.kinds)
        lines: list[str] = []
        for (name, labels), value in known:
            head = f"# TYPE {name} {kinds[name]}"
            if head not in lines:
                lines.append(head)
            shown = ",".join(f'{key}="{text}"' for key, text in labels)
            lines.append(f"{name}{{{shown}}} {value:g}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Timings:
    """Where a program sends how long its calls took: DogStatsD datagrams on loopback."""

    port: int
    sender: socket.socket = field(
        default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    )

    def send(self, name: str, milliseconds: float, tags: Mapping[str, str]) -> None:
        """One duration of a distribution."""
        shown = ",".join(f"{key}:{value}" for key, value in tags.items())
        line = f"{name}:{milliseconds:.3f}|d|#{shown}"
        self.sender.sendto(line.encode(), ("127.0.0.1", self.port))
