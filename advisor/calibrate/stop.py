"""How a measurement is ended from another thread: what an interrupt is to a program in a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from advisor.calibrate.process import WorkerProcess


class Stopped(Exception):  # noqa: N818 - it is what was asked for
    """The measurement was ended because somebody asked for it, before there was anything to keep."""


class Stop:
    """Asks a measurement to end; usable from any thread, once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether the measurement shall end."""
        return self._asked

    def ask(self) -> None:
        """End the measurement: its process now, and the rest once it has seen that."""
        with self._lock:
            self._asked = True
            # Whoever listens to it may wait for minutes; the end of the process is what he hears at once.
            if self._worker is not None:
                self._worker.end()

    @contextmanager
    def over(self, worker: WorkerProcess) -> Iterator[None]:
        """Let :meth:`ask` end a process while the context lasts."""
        with self._lock:
            self._worker = worker
            if self._asked:
                worker.end()
        try:
            yield
        finally:
            with self._lock:
                self._worker = None
