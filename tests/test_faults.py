"""When the world misbehaves: several processes at once, full disks, killed processes, odd systems.

Nothing is lost, nothing is corrupt, and whoever runs the command is told with the right exit code.
"""

from __future__ import annotations

import datetime
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest

from advisor import calibration, user_data, whole_file
from advisor.errors import ExitCode, ExternalError, InputError
from advisor.paths import file_stem, given_path
from advisor.tui.session import Session, load_session, save_session
from advisor.yaml_io import read_yaml
from tests.price_server import PriceServer, Say, as_json, azure_item, without_proxies
from tests.test_calibration_files import profile

ROOT = Path(__file__).parents[1]
QUOTES = ROOT / "tests" / "data" / "procurement" / "reseller-usa.csv"
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor these files")


def start(
    *argv: object, code: str | None = None, env: dict[str, str] | None = None, **options
) -> subprocess.Popen:
    """Start the command, or a piece of Python, in a process of its own."""
    what = ["-m", "advisor"] if code is None else ["-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(
        [sys.executable, *what, *map(str, argv)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        **(pipes | options),
    )


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Wait for a process: exit code, standard output, standard error."""
    out, err = process.communicate(timeout=60)
    told = err.decode("utf-8", "replace")
    assert "Traceback" not in told
    assert "internal error" not in told
    return process.returncode, (out or b"").decode("utf-8"), told


def call(*argv: object, **options) -> tuple[int, str, str]:
    return ended(start(*argv, **options))


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.tmp"))


def running(process_id: int) -> bool:
    """Say whether a process does anything; one that has ended and that nobody has asked about does not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process_id}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def data() -> Path:
    """The folder of this user."""
    return user_data.user_data_folder()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceServer]:
    without_proxies(monkeypatch)
    items = [azure_item("Standard_NC6s_v3", 3.0), azure_item("Standard_NC24ads_A100_v4", 4.0)]
    with PriceServer() as server:
        server.serve("/azure", Say(as_json({"Items": items}).body, delay_s=0.2))
        yield server


def refreshing(server: PriceServer) -> tuple[str, ...]:
    return "prices", "refresh", "--source", "azure", "--source-url", f"azure={server.url}/azure", "--json"


# Several at once


def test_two_processes_that_refresh_ask_once(server: PriceServer, data: Path) -> None:
    results = [ended(process) for process in [start(*refreshing(server)) for _ in range(2)]]
    assert [code for code, _, _ in results] == [ExitCode.ANSWERED] * 2
    assert sorted(json.loads(out)["sources"][0]["status"] for _, out, _ in results) == ["recent", "updated"]
    assert len(server.asked) == 1
    assert left_behind(data) == []


def test_calibrations_that_are_kept_at_once_are_all_kept(tmp_path: Path, data: Path) -> None:
    given = []
    for day in range(1, 4):
        (tmp_path / str(day)).mkdir()
        given.append(tmp_path / str(day) / "lab.yaml")
        given[-1].write_text(calibration.text_of(profile(date=f"2026-11-0{day}")))
    results = [ended(process) for process in [start("calibrate", "import", path) for path in given]]
    assert [code for code, _, _ in results] == [ExitCode.ANSWERED] * 3
    kept = {path.name: calibration.read_profile(path).date for path in (data / "calibration").iterdir()}
    assert sorted(kept) == ["lab-2.yaml", "lab-3.yaml", "lab.yaml"]
    assert sorted(kept.values()) == [f"2026-11-0{day}" for day in range(1, 4)]


def test_of_other_quotes_of_one_name_at_once_one_is_kept_and_the_other_is_told(
    tmp_path: Path, data: Path
) -> None:
    given = []
    for price in (900, 1000):
        (tmp_path / str(price)).mkdir()
        given.append(tmp_path / str(price) / "offer.csv")
        given[-1].write_text(f"GPU,Price USD\nRTX 4090,{price}\n")
    results = [ended(process) for process in [start("prices", "import", path, "--json") for path in given]]
    assert sorted(code for code, _, _ in results) == [
        ExitCode.ANSWERED,
        ExitCode.BAD_INPUT,
    ]
    assert all("--force" in err for code, _, err in results if code)
    (won,) = [json.loads(out)["quotes"][0]["price_usd"] for code, out, _ in results if not code]
    (file,) = (data / "quotes").iterdir()
    assert json.loads(file.read_text())["quotes"][0]["record"]["price_usd"] == won


def test_the_same_quotes_at_once_are_no_fault(data: Path) -> None:
    results = [ended(process) for process in [start("prices", "import", QUOTES, "--json") for _ in range(2)]]
    assert [code for code, _, _ in results] == [ExitCode.ANSWERED] * 2
    assert [path.name for path in (data / "quotes").iterdir()] == ["reseller-usa.json"]


def test_a_name_that_somebody_takes_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "answer.json"
    finished = whole_file.name_new_file

    def late(temporary: Path, target: Path) -> None:
        path.write_text("theirs")
        finished(temporary, target)

    monkeypatch.setattr(whole_file, "name_new_file", late)
    with pytest.raises(InputError, match="the file exists"):
        whole_file.write_text_file(path, "mine", replace=False)
    assert path.read_text() == "theirs"
    assert left_behind(tmp_path) == []


def test_where_there_are_no_links_names_are_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    whole_file.write_text_file(tmp_path / "a", "mine", replace=False)
    with pytest.raises(InputError, match="the file exists"):
        whole_file.write_text_file(tmp_path / "a", "other", replace=False)
    assert (tmp_path / "a").read_text() == "mine"
    assert [calibration.keep(profile(), "x").name for _ in range(2)] == ["x.yaml", "x-2.yaml"]


# Killed

WRITER = """
import itertools, sys
from pathlib import Path
from advisor.tui.session import Session, save_session
print("ready", flush=True)
for number in itertools.count():
    save_session(Session(source="x" * 200_000, settings={sys.argv[2]: str(number)}), Path(sys.argv[1]))
"""


@POSIX
def test_two_that_write_a_session_until_they_are_killed_leave_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    save_session(Session(), path)
    writers = [start(path, name, code=WRITER) for name in ("a", "b")]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == b"ready\n"
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        load_session(path)
    for writer in writers:
        writer.kill()
        writer.communicate()
    assert len(load_session(path).source or "") in (0, 200_000)
    save_session(Session(source="gpt2"), path)
    assert load_session(path) == Session(source="gpt2")


def test_what_a_killed_process_left_is_swept_up_later(tmp_path: Path) -> None:
    path = tmp_path / "session.json"
    with whole_file.whole_file(tmp_path, b"of one who still writes"):
        with whole_file.whole_file(tmp_path, b"") as old:
            left = tmp_path / old.name.replace(old.stem, f"{old.stem}-left")
            left.write_bytes(b"half")
            os.utime(left, (0, 0))
            (tmp_path / ".other.tmp").touch()
            os.utime(tmp_path / ".other.tmp", (0, 0))
        save_session(Session(), path)
        assert not left.exists()
        assert len(left_behind(tmp_path)) == 2
    assert left_behind(tmp_path) == [".other.tmp"]


@POSIX
def test_a_refresh_that_is_killed_blocks_nobody_and_leaves_whole_copies(
    server: PriceServer, data: Path
) -> None:
    draw = random.Random(8)
    for _ in range(3):
        process = start(*refreshing(server))
        asked = len(server.asked)
        end = time.monotonic() + 20
        while len(server.asked) == asked and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        # The answer takes 0.2 s, and what is written takes some thousandths after it.
        time.sleep(draw.uniform(0.15, 0.25))
        process.kill()
        process.communicate()
        for state in (data / "prices" / "state").glob("*.json"):
            json.loads(state.read_text())
            state.unlink()
        for copy in (data / "prices").rglob("*.csv"):
            assert copy.read_text().endswith("\n")
    code, out, _ = call(*refreshing(server))
    assert (code, json.loads(out)["ok"]) == (ExitCode.ANSWERED, 1)


@POSIX
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_cleans_up_what_was_begun(tmp_path: Path, name: str, code: int) -> None:
    """The module of the user runs in a process of its own: it must not outlive the command."""
    pytest.importorskip("torch")
    (tmp_path / "slow.py").write_text(
        f"import os, time\n\ndef build():\n    open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "job.yaml").write_text("model: {torch: {factory: slow:build, input: {shape: [3]}}}\n")
    process = start(
        "describe", tmp_path / "job.yaml", "--allow-code", env={"TMPDIR": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    end = time.monotonic() + 40
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text().endswith("\n"):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    assert ended(process) == (code, "", "")
    child = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 10
    while running(child):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert list(tmp_path.glob("gpu-advisor-*")) == []


@POSIX
def test_an_interrupt_while_it_loads_is_silent() -> None:
    code = (
        "import sys, builtins, advisor.__main__ as entry\n"
        "real = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'advisor.cli': raise KeyboardInterrupt\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "sys.exit(entry.main())"
    )
    assert call(code=code) == (ExitCode.INTERRUPTED, "", "")


# A disk that is full, or cannot be written

LIMITED = """
import json, resource, sys
from advisor.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
print(*(int(main(argv)) for argv in json.loads(sys.argv[1])), file=sys.__stderr__)
"""
"""Files may have 50 bytes: what a full disk does to a process, without one."""


@POSIX
def test_a_disk_without_room_for_it_leaves_what_was_there(
    run, tmp_path: Path, server: PriceServer, data: Path
) -> None:
    assert run("prices", "import", str(QUOTES))[0] == run(*refreshing(server))[0] == ExitCode.ANSWERED
    given, output, new = tmp_path / "lab.yaml", tmp_path / "answer.json", tmp_path / "new.json"
    given.write_text(calibration.text_of(profile()))
    output.write_text("old")
    for state in (data / "prices" / "state").glob("*.json"):
        # Else it was asked just now, and is not asked again.
        document = json.loads(state.read_text()) | {"asked": "2020-01-01T00:00:00Z", "digest": ""}
        state.write_text(json.dumps(document))
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    (tmp_path / QUOTES.name).write_text("GPU,Price USD\nRTX 4090,900\n")
    commands = (
        ("prices", "import", str(tmp_path / QUOTES.name), "--force"),
        ("calibrate", "import", str(given)),
        refreshing(server),
        ("gpus", "4090", "--output", str(output), "--force"),
        ("gpus", "4090", "--output", str(new)),
    )
    _, _, err = call(json.dumps(commands), code=LIMITED)
    assert err.splitlines()[-1] == "3 3 3 3 3"
    assert err.count("cannot be written (File too large)") == len(commands)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert output.read_text() == "old"
    assert not new.exists()
    assert left_behind(tmp_path) == left_behind(data) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("argv", [("gpus", "4090", "--json"), ("--help",), ("estimate", "--jsonl")])
def test_an_answer_that_cannot_be_delivered_is_a_failure(tmp_path: Path, argv: tuple[str, ...]) -> None:
    (tmp_path / "lines").write_text('{"workload": "gpt2", "gpu": "rtx-4090"}\n')
    with Path("/dev/full").open("wb") as full, (tmp_path / "lines").open("rb") as lines:
        code, _, err = call(*argv, stdin=lines, stdout=full)
    assert code == ExitCode.OUTSIDE_FAILED
    assert err == "gpu-advisor: error: standard output: cannot be written (No space left on device)\n"


@POSIX
@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(closed: str) -> None:
    command = f'exec "{sys.executable}" -m advisor gpus 4090 {closed}'
    done = subprocess.run(
        ["sh", "-c", command], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that nobody can write")
def test_a_home_that_cannot_be_written(
    run, server: PriceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "lab.yaml"
    given.write_text(calibration.text_of(profile()))
    for name in (user_data.DATA_VARIABLE, "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc")
    assert run("gpus", "4090")[0] == ExitCode.ANSWERED
    for argv in (("prices", "import", str(QUOTES)), ("calibrate", "import", str(given)), refreshing(server)):
        code, _, err = run(*argv)
        assert code == ExitCode.OUTSIDE_FAILED
        assert "GPU_ADVISOR_DATA names another folder" in err


@pytest.mark.parametrize("older", [False, True])
def test_who_has_no_home_gets_answers_and_no_folder_of_the_name_tilde(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run, older: bool
) -> None:
    """In a container under a bare number: platformdirs raises, or in older versions returns ``~/...``."""
    import platformdirs

    def homeless(*_: object, **__: object) -> Path:
        if older:
            return Path("~/.local/share/gpu-advisor")
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_data_path", homeless)
    monkeypatch.setattr(platformdirs, "user_config_path", homeless)
    monkeypatch.delenv(user_data.DATA_VARIABLE)
    monkeypatch.chdir(tmp_path)
    assert run("gpus", "4090")[0] == ExitCode.ANSWERED
    assert run("calibrate", "show")[0] == ExitCode.ANSWERED
    code, _, err = run("prices", "import", str(QUOTES))
    assert (code, "GPU_ADVISOR_DATA" in err) == (ExitCode.OUTSIDE_FAILED, True)
    assert list(tmp_path.iterdir()) == []


# Clocks, languages, time zones


def test_a_clock_that_went_back_asks_again_and_loses_nothing(run, server: PriceServer, data: Path) -> None:
    run(*refreshing(server))
    (state,) = (data / "prices" / "state").glob("*.json")
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
    state.write_text(json.dumps(json.loads(state.read_text()) | {"asked": later.isoformat()}))
    (copy,) = (data / "prices" / "live").glob("*.csv")
    today = datetime.date.today().isoformat()
    copy.write_text(copy.read_text().replace(today, later.date().isoformat()))
    code, out, _ = run("prices", "show", "a100-pcie-80gb", "--json")
    ages = [price["age_days"] for price in json.loads(out)["gpus"][0]["prices"]]
    assert (code, min(ages)) == (ExitCode.ANSWERED, -400)
    code, out, _ = run(*refreshing(server))
    assert (code, json.loads(out)["sources"][0]["status"]) == (ExitCode.ANSWERED, "updated")
    assert today in copy.read_text()


@POSIX
def test_the_same_question_gives_the_same_bytes_everywhere() -> None:
    argv = (
        "recommend",
        "llama-3.1-8b",
        "--method",
        "lora",
        "--tokens",
        "50e6",
        "--as-of",
        "2026-11-23",
        "--json",
    )
    systems = (
        {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"TZ": "XYZ-14:30", "LC_ALL": "tr_TR.UTF-8", "PYTHONIOENCODING": "utf-16", "PYTHONHASHSEED": "7"},
    )
    results = [ended(process) for process in [start(*argv, env=system) for system in systems]]
    assert {code for code, _, _ in results} == {ExitCode.ANSWERED}
    assert len({out for _, out, _ in results}) == 1


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_what_standard_error_cannot_show_is_escaped(encoding: str) -> None:
    code, _, err = call("recommend", "lläma-日本", env={"PYTHONIOENCODING": encoding})
    assert code == ExitCode.BAD_INPUT
    assert "no shipped model" in err.replace("\0", "")


# Names and paths


@pytest.mark.parametrize(
    ("wanted", "stem"),
    [
        ("offer 2026", "offer-2026"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Users\\me\\offer", "C-Users-me-offer"),
        ("CON", "CON-"),
        ("con.backup", "con.backup-"),
        ("Lpt1", "Lpt1-"),
        ("console", "console"),
        ("a.", "a"),
        (".hidden", "hidden"),
        ("offer\x00\n\u202e", "offer"),
        ("\udcff", "otherwise"),
        ("", "otherwise"),
        ("...", "otherwise"),
        ("Angebot-März", "Angebot-März"),
    ],
)
def test_names_become_files_that_every_system_accepts(wanted: str, stem: str) -> None:
    assert file_stem(wanted, "otherwise") == stem
    assert PureWindowsPath(f"{stem}.json").name == f"{stem}.json"


@pytest.mark.parametrize("letter", ["a", "ä", "漢", "𠀀"])
def test_long_names_fit_into_a_folder(letter: str, tmp_path: Path) -> None:
    stem = file_stem(letter * 500, "otherwise")
    assert stem
    assert set(stem) == {letter}
    (tmp_path / f"{stem}-1000.yaml").touch()


def test_a_quote_of_a_reserved_name_is_kept_beside_it_and_removed_by_it(
    run, tmp_path: Path, data: Path
) -> None:
    given = tmp_path / "con.csv"
    given.write_text("GPU,Price USD\nRTX 4090,900\n")
    assert run("prices", "import", str(given))[0] == ExitCode.ANSWERED
    assert [path.name for path in (data / "quotes").iterdir()] == ["con-.json"]
    assert run("prices", "remove", "con.csv")[0] == ExitCode.ANSWERED
    assert list((data / "quotes").iterdir()) == []


@pytest.mark.parametrize(
    "argv",
    [
        ("recommend", "PATH.yaml"),
        ("gpus", "--output", "PATH.json"),
        ("fleet", "PATH.yaml"),
        ("prices", "import", "PATH.csv"),
        ("calibrate", "import", "PATH.yaml"),
        ("--catalog", "PATH", "gpus"),
    ],
    ids=lambda argv: " ".join(argv[:2]),
)
@pytest.mark.parametrize(
    "path", ["~no-such-user/x", "x" * 300, "x/" * 3000 + "x"], ids=["user", "name", "path"]
)
def test_paths_that_cannot_be(run, argv: tuple[str, ...], path: str) -> None:
    code, out, err = run(*(each.replace("PATH", path) for each in argv))
    assert code in (ExitCode.BAD_INPUT, ExitCode.OUTSIDE_FAILED)
    assert out == ""
    assert "internal error" not in err


def test_a_user_that_is_not_there_is_part_of_the_name() -> None:
    assert given_path("~no-such-user/x") == Path("~no-such-user/x")
    assert given_path("~") == Path.home()


@POSIX
def test_links_are_written_through_and_keep_their_permissions(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "session.json", tmp_path / "session.json"
    link.symlink_to(target)
    save_session(Session(source="gpt2"), link)
    target.chmod(0o600)
    save_session(Session(source="bert-base"), link)
    assert link.is_symlink()
    assert load_session(target).source == "bert-base"
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="the file exists"):
        whole_file.write_text_file(link, "", replace=False)


@POSIX
def test_links_in_a_circle_are_refused(run, tmp_path: Path) -> None:
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(ExternalError, match="symbolic links"):
        whole_file.write_text_file(loop, "", replace=True)
    assert loop.is_symlink()
    job = tmp_path / "job.yaml"
    job.write_text("model: {table: loop.json}\n")
    for argv in (("recommend", str(loop)), ("recommend", str(job)), ("gpus", "--catalog", str(loop))):
        code, _, err = run(*argv)
        assert code in (ExitCode.BAD_INPUT, ExitCode.OUTSIDE_FAILED)
        assert "internal error" not in err


@POSIX
def test_a_current_folder_that_is_gone(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    code = (
        f"import os\nos.mkdir({gone!r})\nos.chdir({gone!r})\nos.rmdir({gone!r})\nfrom advisor.cli import main\n"
        "print(int(main(['gpus', '4090', '--output', 'x.json'])), int(main(['estimate', 'gpt2', '--gpu', 'rtx-4090'])))"
    )
    _, out, err = call(code=code)
    assert out.splitlines()[-1] == "3 0"
    assert "x.json: cannot be written" in err


def test_a_document_of_the_session_stays_readable(data: Path) -> None:
    """What is kept is UTF-8 whatever the system's encoding is."""
    path = data / "session.json"
    save_session(Session(source="日本.yaml"), path)
    assert read_yaml(path) == json.loads(path.read_bytes())
