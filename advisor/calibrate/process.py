"""The measuring process as seen from outside: started, listened to with a time limit, ended."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

START_LIMIT_S = 180.0
"""Importing torch and starting a driver can take more than a minute on a cold disk."""


def under_torchrun() -> bool:
    """Say whether ``torchrun`` started this process as one of its ranks.

    Schedulers of clusters set RANK and WORLD_SIZE in every container; the local ones come from ``torchrun`` alone.
    """
    return all(name in os.environ for name in VARIABLES)


class Ended(Exception):  # noqa: N818 - it is an answer as often as an error
    """The process ended, or was ended, before it said that it is done.

    Attributes:
        reason: in words.
        hung: whether it was ended because it said nothing for too long.
    """

    def __init__(self, reason: str, *, hung: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hung = hung


class WorkerProcess:
    """A process of :mod:`advisor.calibrate.worker` at work on one request; a context that ends it on leaving."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        here = str(Path(__file__).resolve().parents[2])
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join(part for part in (here, inherited) if part)
        # Its own group: an interrupt from the terminal reaches this program alone, which then ends the process.
        group: dict[str, Any] = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined, unused-ignore]
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "advisor.calibrate.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path}, **group,
        )  # fmt: skip
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            # It ended at once; what it left is told when it is listened to.
            return

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            try:
                self._events.put(json.loads(line))
            except ValueError:
                continue
        self._events.put(None)

    def event(self, limit_s: float) -> dict[str, Any]:
        """Return the next event.

        Args:
            limit_s: how long to wait for it.

        Raises:
            Ended: nothing came in this time, or the process ended.
        """
        try:
            found = self._events.get(timeout=limit_s)
        except queue.Empty:
            self.end()
            raise Ended(f"it did not answer within {limit_s:.0f} s", hung=True) from None
        if found is None:
            code = self._process.wait()
            last = self._last_words()
            raise Ended(
                f"the measuring process ended with code {code}" + (f": {last}" if last else ""), hung=False
            )
        return found

    def _last_words(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(self._errors.tell() - 4096, 0))
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        self._errors.close()
