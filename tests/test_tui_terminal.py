"""The app as a process in a terminal: what is drawn, and what is left behind however it ends."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals of this kind", allow_module_level=True)

import fcntl
import pty
import termios

import jsonschema
import pyte

from advisor.schemas import schema

ROOT = Path(__file__).parents[1]
LIMIT_S = 60.0
LEAVES = {"alternate screen": b"\x1b[?1049l", "mouse": b"\x1b[?1000l", "mouse motion": b"\x1b[?1003l"}
ENTERS, HIDES, SHOWS = b"\x1b[?1049h", b"\x1b[?25l", b"\x1b[?25h"


class Terminal:
    """A process in a terminal of its own, and a screen that reads what it draws."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        size: tuple[int, int],
        stdout: IO[bytes] | None,
        term: str = "xterm-256color",
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave

        def own_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {
            name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES", "DISPLAY")
        }
        environment |= {
            "TERM": term,
            "PYTHONPATH": str(ROOT),
            "GPU_ADVISOR_DATA": str(folder / "data"),
            "LANG": "C.UTF-8",
        }
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave if stdout is None else stdout, stderr=slave, cwd=folder,
            env=environment, start_new_session=True, preexec_fn=own_terminal,
        )  # fmt: skip
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(self.screen.display)

    def until(self, done: Callable[[str], bool], what: str) -> str:
        """Read until the screen is as wanted."""
        end = time.monotonic() + LIMIT_S
        while not done(self.text):
            assert time.monotonic() < end, f"{what} never came:\n{self.text}"
            self._read()
        return self.text

    def until_text(self, mark: str) -> str:
        return self.until(lambda text: mark in text, mark)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """Read what is still written; return the exit code."""
        end = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
            self._read()
        while self._read():
            pass
        return self.process.returncode

    def _read(self) -> bytes:
        if not select.select([self.master], [], [], 0.05)[0]:
            return b""
        try:
            drawn = os.read(self.master, 65536)
        except OSError:
            return b""
        self.written += drawn
        # Queries of the terminal that this reader has no answer to, and would print.
        self._stream.feed(re.sub(rb"\x1b\[[>=<?][0-9;]*[uq]|\x1b\[\?[0-9;]*\$p", b"", drawn))
        return drawn

    def is_restored(self) -> None:
        """Check that the terminal is as it was."""
        assert ENTERS in self.written
        for what, sequence in LEAVES.items():
            assert self.written.count(sequence) >= 1, what
            assert self.written.rindex(sequence) > self.written.rindex(ENTERS), what
        assert self.written.rindex(SHOWS) > self.written.rindex(HIDES)
        assert termios.tcgetattr(self.slave)[3] == self.before[3]

    def close(self) -> None:
        """End what is still there."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.master, self.slave):
            os.close(descriptor)


Open = Callable[..., Terminal]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    terminals: list[Terminal] = []

    def open_terminal(
        *arguments: str, size: tuple[int, int] = (140, 45), stdout: IO[bytes] | None = None,
        words: list[str] | None = None, term: str = "xterm-256color",
    ) -> Terminal:  # fmt: skip
        command = words or [sys.executable, "-m", "advisor", *arguments]
        terminals.append(Terminal(command, tmp_path, size, stdout, term))
        return terminals[-1]

    yield open_terminal
    for terminal in terminals:
        terminal.close()


@pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["narrow", "wide"])
def test_the_ranking_is_painted_the_arrows_move_and_q_leaves(opened: Open, size: tuple[int, int]) -> None:
    terminal = opened("tui", "resnet50", size=size)
    terminal.until_text("qualify; best:")
    text = terminal.until_text("Memory GiB")
    lines = text.splitlines()
    assert len(lines) == size[1]
    assert lines[0].split()[:2] == (["1", "Decide"] if size[0] < 100 else ["gpu-advisor", "1"])
    assert "Quit" in lines[-1]
    assert ("budget ($)" in text) is (size[0] > 100)
    place = next(y for y, line in enumerate(lines) if "Memory GiB" in line) + 1

    def background(y: int) -> str:
        return terminal.screen.buffer[y][size[0] - 8].bg

    terminal.until(lambda _: background(place) != background(place + 1), "a cursor")
    cursor, other = background(place), background(place + 1)
    terminal.type("\x1b[B")
    terminal.until(lambda _: background(place + 1) == cursor and background(place) == other, "the next row")
    terminal.type("q")
    assert terminal.ended() == 0
    terminal.is_restored()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_it_in_order(opened: Open, name: str, code: int) -> None:
    terminal = opened("tui", "resnet50")
    terminal.until_text("qualify")
    terminal.process.send_signal(getattr(signal, name))
    assert terminal.ended() == code
    terminal.is_restored()
    assert "Traceback" not in terminal.written.decode(errors="replace")


def test_the_chosen_gpu_goes_to_the_file_and_the_picture_to_the_terminal(
    opened: Open, tmp_path: Path
) -> None:
    path = tmp_path / "choice.json"
    with path.open("wb") as file:
        terminal = opened("tui", "resnet50", stdout=file)
        terminal.until_text("qualify")
        assert path.read_bytes() == b""
        terminal.type("jA")
        assert terminal.ended() == 0
    terminal.is_restored()
    answer = json.loads(path.read_text())
    jsonschema.validate(answer, schema("estimate"))
    assert len(answer["estimates"]) == 1
    # The second row of the ranking that the command prints.
    ranked = subprocess.run(
        [sys.executable, "-m", "advisor", "recommend", "resnet50", "--json", "--top", "2"],
        capture_output=True, check=True, cwd=ROOT,
    )  # fmt: skip
    second = json.loads(ranked.stdout)["recommendations"][1]
    assert answer["estimates"][0]["gpu"] == second["gpu"]


def test_leaving_without_a_choice_leaves_an_empty_file(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "choice.json"
    with path.open("wb") as file:
        terminal = opened("tui", "resnet50", stdout=file)
        terminal.until_text("qualify")
        terminal.type("q")
        assert terminal.ended() == 130
    assert path.read_bytes() == b""


def test_the_chosen_gpu_is_told_in_the_terminal(opened: Open) -> None:
    terminal = opened("tui", "resnet50")
    terminal.until_text("qualify")
    terminal.type("A")
    assert terminal.ended() == 0
    after = terminal.written[terminal.written.rindex(LEAVES["alternate screen"]) :].decode()
    assert "resnet50" in after
    assert "GiB" in after


def test_the_session_is_kept_and_a_broken_one_left_alone(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "data" / "session.json"
    terminal = opened("tui", "resnet50", "--set", "constraints.max_count=1")
    terminal.until_text("qualify")
    terminal.type("xs\x1b[B q")
    assert terminal.ended() == 0
    kept = json.loads(path.read_text())
    assert (kept["source"], kept["settings"]) == ("resnet50", {"constraints.max_count": "1"})
    assert (kept["shows_excluded"], kept["sort_key"], len(kept["compared"])) == (False, "rank", 1)
    path.write_text("{broken")
    again = opened("tui", "resnet50")
    again.until_text("qualify")
    again.type("q")
    assert again.ended() == 0
    assert path.read_text() == "{broken"
    assert str(path) in re.sub(r"\s", "", again.written.decode())


def test_without_a_terminal_it_says_what_to_do() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "advisor", "tui", "resnet50"], capture_output=True, text=True, cwd=ROOT,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert (found.returncode, found.stdout) == (2, "")
    assert "needs a terminal" in found.stderr
    assert "hint: recommend answers the same question" in found.stderr
    assert "\x1b" not in found.stderr


def test_a_dumb_terminal_is_refused(opened: Open) -> None:
    terminal = opened("tui", "resnet50", term="dumb")
    assert terminal.ended() == 2
    assert ENTERS not in terminal.written
    assert b"needs a terminal" in terminal.written


def test_alone_the_command_opens_the_app_in_a_terminal(opened: Open) -> None:
    terminal = opened()
    terminal.until_text("What do you want to run?")
    terminal.type("\x1b")
    terminal.until(
        lambda text: "What do you want" not in text and "qualify" in text, "the ranking behind the dialog"
    )
    terminal.type("q")
    assert terminal.ended() == 0
    terminal.is_restored()


def test_alone_in_a_pipe_the_command_prints_its_help() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "advisor"], capture_output=True, text=True, cwd=ROOT,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert found.returncode == 0
    assert found.stdout.startswith("usage: gpu-advisor")


def test_a_fault_of_the_app_is_told_without_a_traceback(opened: Open) -> None:
    code = (
        "import sys; from advisor.service import Advisor; from advisor.cli import main\n"
        "def fail(*_, **__): raise RuntimeError('[/] the sky falls')\n"
        "Advisor.recommend = fail\n"
        "sys.exit(main(['tui', 'resnet50']))"
    )
    terminal = opened(words=[sys.executable, "-c", code])
    assert terminal.ended() == 3
    terminal.is_restored()
    after = terminal.written[terminal.written.rindex(LEAVES["alternate screen"]) :].decode()
    assert "internal error" in after
    assert "the sky falls" in after
    assert "Traceback" not in terminal.written.decode(errors="replace")


def test_the_code_of_a_model_runs_only_when_allowed(opened: Open, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nfrom torch import nn\n"
        "def build():\n    Path(__file__).with_name('it-ran').touch()\n    return nn.Conv2d(3, 8, 3)\n"
    )
    job = tmp_path / "job.yaml"
    job.write_text(
        "model: {torch: {factory: 'mine:build', input: {shape: [3, 16, 16]}}}\ndata: {samples: 1000}\n"
    )
    terminal = opened("tui", "job.yaml")
    terminal.until_text("This runs the code of mine:build")
    terminal.type("n")
    terminal.until(lambda text: "This runs the code" not in text, "the app without the question")
    terminal.until(lambda text: "! " in text, "what is wrong now")
    assert not (tmp_path / "it-ran").exists()
    terminal.type("o")
    terminal.until_text("Enter chooses")
    terminal.type("resnet50\r")
    terminal.until_text("qualify")
    terminal.type("q")
    assert terminal.ended() == 0
    again = opened("tui", "job.yaml")
    again.until_text("This runs the code of mine:build")
    again.type("y")
    again.until_text("qualify")
    assert (tmp_path / "it-ran").exists()
    again.type("q")
    assert again.ended() == 0


def test_a_gpu_is_chosen_in_tmux(tmp_path: Path) -> None:
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("tmux is not installed")
    server = [tmux, "-S", str(tmp_path / "socket"), "-f", os.devnull]

    def call(*words: str) -> str:
        return subprocess.run([*server, *words], check=True, capture_output=True, text=True).stdout

    def until(mark: str) -> str:
        end = time.monotonic() + LIMIT_S
        while mark not in (shown := call("capture-pane", "-p")):
            assert time.monotonic() < end, shown
            select.select([], [], [], 0.1)
        return shown

    data = f"GPU_ADVISOR_DATA={tmp_path / 'data'}"
    call("new-session", "-d", "-x", "120", "-y", "40", "-e", data, "-e", f"PYTHONPATH={ROOT}", "sh")
    try:
        call("send-keys", f"{sys.executable} -m advisor tui resnet50; echo ended $?", "Enter")
        shown = until("qualify")
        assert "Memory GiB" in shown
        call("send-keys", "/")
        until("words to look for")
        call("send-keys", "-l", "rtx-4090")
        until("rtx-4090")
        call("send-keys", "Enter")
        call("send-keys", "A")
        until("ended 0")
        assert "RTX 4090 (rtx-4090)" in call("capture-pane", "-p", "-S", "-200")
    finally:
        call("kill-server")
