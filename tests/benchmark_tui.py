"""Speed of the app: ``python -m tests.benchmark_tui`` in a checkout; not on Windows. Nothing here is a test.

Prints the first picture and the first ranking as ratios to an empty Textual app in a terminal of 140 x 45, the memory
of the process, and the time from an edit in the form to the ranking that follows, for the whole catalog.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAINT_TARGET = 2.0
EDIT_TARGET_MS = 100.0
MEMORY_TARGET_MB = 150.0
REPEATS = 7
LIMIT_S = 30.0
WIDTH, HEIGHT = 140, 45

EMPTY_APP = """
from textual.app import App
from textual.widgets import Footer, Header, Static

class Empty(App):
    BINDINGS = [("q", "quit", "Quit")]

    def compose(self):
        yield Header()
        yield Static("nothing at all")
        yield Footer()

Empty().run()
"""


def seen_after(arguments: list[str], *marks: bytes) -> tuple[list[float], float]:
    """Return when a process has drawn each of some texts in a terminal, in seconds, and its resident megabytes then."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, *arguments], environment())
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    start, drawn, found = time.perf_counter(), b"", []
    while len(found) < len(marks) and time.perf_counter() - start < LIMIT_S:
        if select.select([terminal], [], [], 0.05)[0]:
            drawn += os.read(terminal, 65536)
            while len(found) < len(marks) and marks[len(found)] in drawn:
                found.append(time.perf_counter() - start)
    status = Path(f"/proc/{child}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    resident = next(
        (float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), float("nan")
    )
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    assert len(found) == len(marks), f"not drawn within {LIMIT_S:g} s: {marks[len(found)]!r}"
    return found, resident


def environment() -> dict[str, str]:
    """Return the environment of a user who starts the app for the first time."""
    folder = tempfile.mkdtemp()
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "GPU_ADVISOR_DATA": folder}


def start() -> None:
    """Print how long the first picture and the first ranking take, and the memory of the process."""
    empty, first, full, memory = [], [], [], []
    for _ in range(REPEATS):
        empty.append(seen_after(["-c", EMPTY_APP], b"nothing at all")[0][0])
        (picture, ranking), resident = seen_after(
            ["-m", "advisor", "tui", "resnet50"], b"asking...", b"qualify"
        )
        first.append(picture)
        full.append(ranking)
        memory.append(resident)
    base, picture, ranking = (statistics.median(each) for each in (empty, first, full))
    print(
        f"start: an empty app {base * 1000:.0f} ms; first picture {picture * 1000:.0f} ms, ratio {picture / base:.2f} "
        f"(target {PAINT_TARGET:g}); with the ranking {ranking * 1000:.0f} ms, ratio {ranking / base:.2f}"
    )
    print(f"memory: {statistics.median(memory):.0f} MB resident (target {MEMORY_TARGET_MB:g})")


async def edits() -> None:
    """Print the time from an edit in the form to the ranking that follows."""
    from advisor.service import open_advisor
    from advisor.tui.app import AdvisorApp
    from advisor.tui.screens.decide import DecideScreen
    from advisor.tui.session import Session
    from advisor.tui.widgets.workload_form import FieldInput

    settings = {"data.samples": "1281167", "data.epochs": "90"}
    answered = asyncio.Event()

    class Watched(AdvisorApp):
        """Says when an answer is on the desk: asking for it again and again would take time from it."""

        def _tell_screens(self) -> None:
            super()._tell_screens()
            if self.desk.answer is not before:
                answered.set()

    before = None
    app = Watched(lambda _: open_advisor(), Session(source="resnet50", settings=settings), folder=Path.cwd())
    async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
        while app.desk.answer is None or not app.screen.query(FieldInput):
            await pilot.pause(0.05)
        await pilot.pause(1.0)
        screen = app.screen
        assert isinstance(screen, DecideScreen)
        editors = {editor.path: editor for editor in screen.query(FieldInput)}
        for path, values in {
            "constraints.budget_usd": [str(2000 + 100 * step) for step in range(15)],
            "data.epochs": [str(10 + step) for step in range(15)],
            "batch.global": [str(256 + 64 * step) for step in range(15)],
        }.items():
            took = []
            for value in values:
                before, begun = app.desk.answer, time.perf_counter()
                answered.clear()
                editors[path].value = value
                await answered.wait()
                drawn = asyncio.Event()
                screen.call_after_refresh(drawn.set)
                await drawn.wait()
                took.append((time.perf_counter() - begun) * 1000)
                await pilot.pause(0.4)
            assert app.desk.answer is not None
            rows = len(screen.ranking.rows)
            print(
                f"edit of {path}: {statistics.median(took):.0f} ms to the ranking of {rows} rows "
                f"(worst {max(took):.0f}, target {EDIT_TARGET_MS:g})"
            )
    heavy = sorted({"torch", "scipy", "httpx"} & set(sys.modules))
    print(f"not wanted and loaded: {', '.join(heavy) or 'nothing'}")


def main() -> None:
    """Print all figures."""
    start()
    asyncio.run(edits())


if __name__ == "__main__":
    main()
