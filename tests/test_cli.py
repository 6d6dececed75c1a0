"""The command line as scripts use it: exit codes, what goes to which stream, bad input, streams, files."""

import io
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from advisor import cli, diagnostics
from advisor.cli import opening, output
from advisor.errors import ExitCode
from advisor.fleet_file import read_fleet
from advisor.objective import OBJECTIVES

ROOT = Path(__file__).parents[1]
JOB = ["llama-3.1-8b", "--method", "lora", "--tokens", "50e6"]


def spawn(*argv: str, **options) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.Popen([sys.executable, "-m", "advisor", *argv], env=environment, **options)


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert code == ExitCode.BAD_INPUT, err
    assert out == ""
    assert err.startswith("gpu-advisor: error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_no_arguments_print_the_help(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "recommend" in out
    assert "WORKLOAD" in out


def test_help_and_version_of_every_command(run):
    for argv in (["--help"], ["--version"], *([name, "--help"] for name in cli.COMMANDS)):
        code, out, err = run(*argv)
        assert (code, err) == (0, "")
        assert out


def commands_of(block: str) -> list[list[str]]:
    """Return the command lines in a block of shell; files that it writes as here-documents are written here."""
    found = []
    lines = iter(block.replace("\\\n", " ").splitlines())
    for line in lines:
        if written := re.search(r"cat > (\S+) <<'EOF'$", line):
            path = Path(written[1])
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(iter(lambda: next(lines), "EOF")) + "\n", "utf-8")
        elif line.strip().startswith("gpu-advisor"):
            words = shlex.split(line, comments=True)
            found.append(list(itertools.takewhile(lambda word: word not in ("<", ">"), words[1:])))
    return found


@pytest.fixture
def read_only(monkeypatch, tmp_path):
    """Let commands read their options, files and names, and do nothing with them."""

    def read(args):
        if getattr(args, "workload", None) and args.command != "serve":
            opening.read_question(args)
        if args.command == "fleet":
            read_fleet(args.fleet)
        for name in opening.names_of(getattr(args, "gpu", None) or ()):
            opening.open_service(args).names.resolve(name)
        return ExitCode.ANSWERED

    for name in cli.COMMANDS:
        monkeypatch.setitem(cli.COMMANDS, name, read)
    monkeypatch.setattr(cli, "has_screen", lambda *streams: True)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_fits_the_screen_and_ends_with_examples_that_are_read(run, read_only, name):
    _, out, _ = run(name, "--help")
    assert max(map(len, out.splitlines())) <= 80
    text, examples = out.split("\nexamples:\n")
    assert text.startswith(f"usage: gpu-advisor {name}")
    for file in ("job.yaml", "mymodel.yaml"):
        Path(file).write_text("model: {name: gpt2}\n", "utf-8")
    Path("fleet.yaml").write_bytes((ROOT / "tests/data/procurement/fleet.yaml").read_bytes())
    found = commands_of(examples)
    assert 2 <= len(found) <= 3
    for argv in found:
        assert argv[0] == name
        code, _, err = run(*argv)
        assert code == 0, err


def test_the_help_of_the_program_has_examples_that_are_read(run, read_only):
    _, out, _ = run("--help")
    assert max(map(len, out.splitlines())) <= 80
    for argv in commands_of(out.split("\nexamples:\n")[1]):
        code, _, err = run(*argv)
        assert code == 0, err


def tour() -> list[tuple[str, str]]:
    """Return the tasks of the README's tour with their commands."""
    text = (ROOT / "README.md").read_text("utf-8").split("\n## A tour by tasks\n")[1].split("\n## ")[0]
    return re.findall(r"^\*\*(.+?)\*\*.*?```sh\n(.*?)```", text, re.DOTALL | re.MULTILINE)


def test_the_tour_has_its_tasks():
    assert len(tour()) >= 10


@pytest.mark.parametrize("block", [pytest.param(block, id=task) for task, block in tour()])
def test_the_commands_of_the_tour_are_read(run, read_only, block):
    found = commands_of(block)
    assert found
    for argv in found:
        code, _, err = run(*argv)
        assert code == 0, err


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_script(run, shell):
    code, out, err = run("--print-completion", shell)
    assert (code, err) == (0, "")
    assert "recommend" in out
    assert shell == "tcsh" or "--deadline" in out


def test_recommend_ranks(run):
    code, out, _ = run("recommend", *JOB, "--budget", "3000", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["schema"] == "gpu-advisor/recommend/1"
    rows = answer["recommendations"]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == 20
    assert answer["workload"]["data"]["tokens"] == 50_000_000


def test_top(run):
    few = json.loads(run("recommend", *JOB, "--json", "--top", "3")[1])
    everything = json.loads(run("recommend", *JOB, "--json", "--top", "all")[1])
    assert few["shown"] == 3
    assert everything["shown"] == everything["qualified"] == few["qualified"]
    assert few["recommendations"] == everything["recommendations"][:3]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives(run, objective):
    code, out, _ = run("recommend", *JOB, "--for", objective, "--json", "--top", "1")
    assert code == 0
    assert json.loads(out)["objective"] == objective


def test_nothing_qualifies_is_an_answer_with_exit_code_1(run):
    for form in ("json", "table", "markdown", "csv", "html"):
        code, out, _ = run(
            "recommend", "llama-3.1-70b", "--tokens", "1e12", "--budget", "5", "--format", form
        )
        assert code == ExitCode.UNSATISFIED
        if form == "json":
            assert json.loads(out)["relax"]
        if form in ("table", "markdown", "html"):
            assert "What to relax" in out


def test_estimate_exit_code_says_whether_anything_fits(run):
    assert run("estimate", "llama-3.1-70b", "--gpu", "rtx-3060-12gb", "--json")[0] == ExitCode.UNSATISFIED
    assert run("estimate", "gpt2", "--gpu", "rtx-4090,rtx-3060-12gb", "--json")[0] == ExitCode.ANSWERED


def test_gpus_are_known_by_all_their_names(run):
    for name in ("rtx-4090", "RTX 4090", "NVIDIA GeForce RTX 4090"):
        answer = json.loads(run("estimate", "gpt2", "--gpu", name, "--json")[1])
        assert [row["gpu"] for row in answer["estimates"]] == ["rtx-4090"]


def test_compare_relates_to_the_first(run):
    code, out, _ = run("compare", *JOB, "rtx-4090", "a100-sxm4-80gb", "--json")
    answer = json.loads(out)
    assert code == 0
    assert [ratio["gpu"] for ratio in answer["ratios"]] == ["rtx-4090", "a100-sxm4-80gb"]
    assert answer["ratios"][0]["speed"] == 1.0


def test_gpus_and_models(run):
    listed = json.loads(run("gpus", "4090", "--json")[1])["gpus"]
    assert "rtx-4090" in {gpu["id"] for gpu in listed}
    shown = json.loads(run("gpus", "show", "RTX", "4090", "--json")[1])["gpus"]
    assert shown[0]["id"] == "rtx-4090"
    assert shown[0]["entry"]["sources"]
    assert len(json.loads(run("models", "--json")[1])["models"]) >= 60
    assert json.loads(run("models", "show", "gpt2", "--json")[1])["models"][0]["dimensions"]["layers"] == 12


def test_options_before_and_after_the_command(run, tmp_path):
    before = run("--json", "--catalog", str(tmp_path), "gpus", "4090")
    after = run("gpus", "4090", "--json", "--catalog", str(tmp_path))
    assert before == after
    assert before[0] == 0


def test_catalog_folders_add_up(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    args = cli.build_parser().parse_args(["--catalog", "a", "gpus", "--catalog", "b", "--catalog", "c"])
    cli.prepare(args)
    assert args.catalog == ["a", "b", "c"]


def test_every_answer_validates_against_its_published_schema_and_repeats(run):
    commands = {
        "recommend": ("recommend", *JOB, "--json"),
        "estimate": ("estimate", *JOB, "--gpu", "rtx-4090", "--json"),
        "compare": ("compare", *JOB, "rtx-4090", "l4", "--json"),
        "gpu": ("gpus", "show", "rtx-4090", "--json"),
        "model": ("models", "--json"),
    }
    for kind, argv in commands.items():
        schema = json.loads(run("schema", kind)[1])
        jsonschema.Draft202012Validator.check_schema(schema)
        code, first, err = run(*argv)
        assert (code, err) == (0, "")
        jsonschema.validate(json.loads(first), schema)
        assert run(*argv)[1] == first
        assert first.endswith("}\n")


def test_a_workload_that_is_answered_validates_against_the_workload_schema(run):
    schema = json.loads(run("schema", "workload")[1])
    answer = json.loads(run("estimate", *JOB, "--gpu", "rtx-4090", "--json")[1])
    jsonschema.validate(answer["workload"], schema)


# Bad input


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["estimate", "gpt2", "--gpu", "rtx-4900"], ["--gpu", "rtx-4900", "accepted", "mean", "rtx-4090"]),
        (["compare", "gpt2", "rtx-4090", "rtx-4900"], ["rtx-4900", "did you mean"]),
        (["compare", "gpt2", "rtx-4090"], ["two GPUs or more"]),
        (["gpus", "show", "rtx-4900"], ["rtx-4900", "did you mean"]),
        (["gpus", "show"], ["ID"]),
        (["models", "show", "lama-3.1-8b"], ["lama-3.1-8b", "llama-3.1-8b"]),
        (["recommend", "lama-3.1-8b"], ["lama-3.1-8b", "llama-3.1-8b"]),
        (["recommend", ""], ["WORKLOAD", "accepted"]),
        (["recommend", "./missing.yaml"], ["missing.yaml", "no such file"]),
        (["recommend", "gpt2", "--tokens", "-5"], ["--tokens -5", "data.tokens", "greater than 0"]),
        (["recommend", "gpt2", "--tokens", "1e300"], ["--tokens 1e300", "data.tokens"]),
        (["recommend", "gpt2", "--tokens", "many"], ["--tokens many", "data.tokens", "many"]),
        (["recommend", "gpt2", "--budget", "nan"], ["--budget", "constraints.budget_usd", "accepted"]),
        (["recommend", "gpt2", "--budget", "0"], ["--budget 0", "constraints.budget_usd"]),
        (["recommend", "gpt2", "--deadline", "soon"], ["--deadline", "soon", "accepted", "12h"]),
        (["recommend", "gpt2", "--max-count", "2.5"], ["--max-count 2.5", "constraints.max_count"]),
        (["recommend", "gpt2", "--vendor", "nvidea"], ["--vendor", "constraints.vendors", "nvidia"]),
        (["recommend", "gpt2", "--precision", "fp12"], ["--precision fp12", "precision", "fp16"]),
        (["recommend", "gpt2", "--task", "inference", "--method", "lora"], ["--task", "--method"]),
        (["recommend", "gpt2", "--batch", "10", "--micro-batch", "3"], ["--batch 10", "-batch 3", "divide"]),
        (["recommend", "gpt2", "--set", "batch"], ["--set", "batch", "FIELD=VALUE"]),
        (["recommend", "gpt2", "--set", "=1"], ["--set", "FIELD=VALUE"]),
        (["recommend", "gpt2", "--set", "batch.mikro=1"], ["--set batch.mikro=1", "batch.mikro", "micro"]),
        (["recommend", "gpt2", "--set", "batch.micro=.nan"], ["--set", "batch.micro", "NaN"]),
        (["recommend", "gpt2", "--set", "batch={a: b"], ["--set", "batch"]),
        (["recommend", "gpt2", "--set", "model=[1]", "--set", "model.name=x"], ["model", "list"]),
        (["recommend", "gpt2", "--top", "0"], ["--top", "0", "accepted"]),
        (["recommend", "gpt2", "--for", "fun"], ["fun", "balanced"]),
        (["recommend", "gpt2", "--width", "9"], ["--width", "9"]),
        (["recommend", "gpt2", "--json", "--format", "csv"], ["--json", "csv"]),
        (["recommend", "gpt2", "--catalog", "/nowhere"], ["--catalog", "/nowhere"]),
        (["estimate", "gpt2"], ["--gpu"]),
        (["estimate", "gpt2", "--gpu", "rtx-4090", "--count", "-1"], ["--count"]),
        (["estimate", "gpt2", "--gpu", "rtx-4090", "--count", "1e99"], ["--count", "1e99"]),
        (["estimate", "gpt2", "--jsonl"], ["--jsonl"]),
        (["schema", "poem"], ["poem", "workload"]),
        (["fly"], ["fly", "recommend"]),
        (["recommend"], ["WORKLOAD"]),
        (["recommend", "gpt2", "--frobnicate"], ["--frobnicate"]),
    ],
)  # fmt: skip
def test_bad_arguments(run, argv, words):
    refused(run(*argv), *words)


HEADS = "model: {transformer: {layers: 2, hidden: 100, heads: 3, ffn: 400, vocab: 1000}}"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["empty"]),
        (b"  \n", ["empty"]),
        (b"\xff\xfem\x00o\x00", ["UTF-8"]),
        ("model: {name: résumé}".encode("latin-1"), ["UTF-8"]),
        (b"[1, 2]", ["mapping", "got"]),
        (b"model: {name: gpt2", ["not valid YAML"]),
        (b"model: {name: gpt2}\nmodel: {name: gpt2}", [":2", "twice"]),
        (b"model: {name: gpt2}\nbach: {}", [":2", "bach", "batch"]),
        (b"model: {name: gpt2}\ndata: {tokens: -1}", [":2", "data.tokens", "-1", "greater than 0"]),
        (b"model: {name: gpt2}\ndata: {tokens: .nan}", [":2", "NaN"]),
        (b"model: {name: gpt2}\ndata: {tokens: 1e30}", [":2", "data.tokens"]),
        (b"model: {name: gpt2}\nbatch: {global: 10, micro: 3}", ["10", "3", "divide"]),
        (b"model: {name: gpt2}\nbatch: big", [":2", "batch", "big"]),
        (b"model: {name: 5}", ["model.name", "5", "text"]),
        (b"model: {name: no-such-model}", ["no-such-model"]),
        (b"model: {name: gpt2, table: x.json}", ["exactly one"]),
        (b"model: {huggingface: ./missing.json}", ["missing.json"]),
        (HEADS.encode(), ["heads", "divide"]),
        (HEADS.replace("heads: 3", "heads: -4").encode(), ["heads", "-4", "greater than 0"]),
        (HEADS.replace("layers: 2", "layers: 1e12").encode(), ["layers"]),
        (BOMB.encode(), ["alias"]),
        (b"model: {name: !!python/object/apply:os.system [ls]}", ["tag"]),
        (b"[" * 5000, ["nested"]),
    ],
)  # fmt: skip
def test_bad_documents(run, tmp_path, text, words):
    path = tmp_path / "job.yaml"
    path.write_bytes(text)
    result = run("recommend", str(path))
    if "missing.json" in words:
        # A file that is not there may appear: something outside failed.
        assert result[0] in (ExitCode.BAD_INPUT, ExitCode.OUTSIDE_FAILED)
        assert result[1] == ""
        assert "missing.json" in result[2]
        return
    refused(result, "job.yaml", *words)
    if text.strip():
        code, out, err = run("recommend", "-", stdin=text)
        assert (code, out) == (ExitCode.BAD_INPUT, "")
        assert "standard input" in err


def test_a_folder_and_a_huge_file(run, tmp_path):
    refused(run("recommend", f"{tmp_path}/"), "folder")
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as stream:
        stream.truncate(100 * 2**20)
    refused(run("recommend", str(huge)), "huge.yaml", "larger")


def test_bad_json_document(run, tmp_path):
    path = tmp_path / "job.json"
    path.write_text('{"model": {"name": "gpt2"}, "data": {"tokens": NaN}}')
    refused(run("recommend", str(path)), "job.json", "NaN")


def test_control_characters_do_not_reach_the_terminal(run, tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text('name: "a\\e]0;OWNED\\a[bold]b[/]"\nmodel: {name: gpt2}\n')
    code, out, _ = run("estimate", str(path), "--gpu", "rtx-4090")
    assert code == 0
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]b[/]" in out
    _, out, err = run("recommend", "\x1b]0;OWNED\x07")
    assert "\x1b" not in out + err


# Streams


def lines(*requests: object) -> bytes:
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


def test_jsonl_answers_in_order_and_in_place(run):
    stdin = (
        lines({"workload": "gpt2", "gpu": "RTX 4090"})
        + b"not json\n\n"
        + lines(
            {"workload": {"model": {"name": "gpt2"}, "batch": {"mikro": 1}}, "gpu": "rtx-4090"},
            {"workload": "gpt2", "gpu": "rtx-4900"},
            {"workload": "gpt2", "gpu": "rtx-4090", "count": 0},
            {"workload": "gpt2", "gpu": "rtx-4090", "extra": 1},
            {"workload": "no-such-model", "gpu": "rtx-4090"},
            [1],
        )
        + b"\xff\xfe\n"
        + lines({"workload": {"model": {"name": "gpt2"}}, "gpu": "a100-sxm4-80gb", "count": 2})[:-1]
    )
    code, out, err = run("estimate", "--jsonl", stdin=stdin)
    answers = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (ExitCode.BAD_INPUT, "")
    assert [answer.get("gpu", "error") for answer in answers] == [
        "rtx-4090", *["error"] * 9, "a100-sxm4-80gb"
    ]  # fmt: skip
    assert answers[-1]["count"] == 2
    errors = [answer["error"] for answer in answers[1:-1]]
    assert [error["line"] for error in errors] == list(range(2, 11))
    assert {error["source"] for error in errors} == {"standard input"}
    assert errors[2]["field"] == "workload.batch.mikro"
    assert "rtx-4090" in errors[3]["candidates"]
    assert None not in errors[0].values()


def test_jsonl_line_is_one_estimate(run):
    code, out, _ = run(
        "estimate", "--jsonl", stdin=lines({"workload": "gpt2", "gpu": "rtx-4090", "count": 1})
    )
    whole = json.loads(run("estimate", "gpt2", "--gpu", "rtx-4090", "--count", "1", "--json")[1])
    assert code == 0
    assert json.loads(out) == whole["estimates"][0]


def test_jsonl_refuses_a_line_that_is_too_long_and_goes_on(run):
    stdin = b'"' + b"x" * (8 * 2**20 + 100) + b'"\n' + lines({"workload": "gpt2", "gpu": "rtx-4090"})
    code, out, _ = run("estimate", "--jsonl", stdin=stdin)
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == ExitCode.BAD_INPUT
    assert first["error"]["line"] == 1
    assert second["gpu"] == "rtx-4090"


def test_jsonl_of_nothing(run):
    assert run("estimate", "--jsonl", stdin=b"") == (0, "", "")


def test_jsonl_answers_each_line_before_the_next_is_written():
    with spawn("estimate", "--jsonl", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        for gpu in ("rtx-4090", "rtx-3090"):
            process.stdin.write(lines({"workload": "gpt2", "gpu": gpu}))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["gpu"] == gpu
        process.stdin.close()
        assert process.wait() == 0


def test_a_closed_pipe_is_silent():
    with spawn("models", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to one process")
def test_an_interrupt_is_130_and_silent():
    with spawn(
        "estimate",
        "--jsonl",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs the tests in the background makes its children ignore interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(lines({"workload": "gpt2", "gpu": "rtx-4090"}))
        process.stdin.flush()
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait() == ExitCode.INTERRUPTED
        assert process.stderr.read() == b""


# Files


def test_output_is_whole_and_not_overwritten(run, tmp_path):
    path = tmp_path / "answer.json"
    assert run("gpus", "4090", "--output", str(path)) == (0, "", "")
    assert json.loads(path.read_text("utf-8"))["schema"] == "gpu-advisor/gpu/1"
    path.write_text("mine")
    refused(run("gpus", "4090", "--output", str(path)), "--output", "answer.json", "--force")
    assert path.read_text() == "mine"
    assert run("gpus", "4090", "--output", str(path), "--force")[0] == 0
    assert path.read_text("utf-8").startswith("{")
    assert [item.name for item in tmp_path.iterdir()] == ["answer.json"]


@pytest.mark.parametrize(
    ("suffix", "start"), [("md", "| Id |"), ("csv", "id,name"), ("txt", "Id "), ("html", "<!DOCTYPE html>")]
)
def test_the_suffix_chooses_the_format(run, tmp_path, suffix, start):
    path = tmp_path / f"answer.{suffix}"
    assert run("gpus", "4090", "--output", str(path))[0] == 0
    assert path.read_text("utf-8").startswith(start)


def test_output_that_cannot_be_written(run, tmp_path):
    refused(run("gpus", "--output", str(tmp_path)), "--output", "folder")
    refused(run("gpus", "--output", str(tmp_path / "no" / "x.json")), "--output", "folder")


def test_bad_input_leaves_no_file(run, tmp_path):
    path = tmp_path / "answer.json"
    refused(run("estimate", "gpt2", "--gpu", "rtx-4900", "--output", str(path)), "rtx-4900")
    assert not path.exists()


# Faults of ours


def test_a_crash_is_reported_without_a_traceback(run, monkeypatch):
    def broken(_args):
        raise RuntimeError("oh [no]")

    monkeypatch.setitem(cli.COMMANDS, "gpus", broken)
    code, out, err = run("gpus")
    assert (code, out) == (ExitCode.OUTSIDE_FAILED, "")
    assert "internal error (RuntimeError" in err
    assert "report" in err
    assert "Traceback" not in err
    assert "Traceback" in run("gpus", "--debug")[2]


def test_no_color_and_ascii_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert diagnostics.wants_color(Terminal())
    assert not diagnostics.wants_color(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not diagnostics.wants_color(Terminal())
    assert not output.ascii_only(Terminal())
    monkeypatch.setenv("LANG", "C")
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    assert output.ascii_only(Terminal())
    with io.TextIOWrapper(io.BytesIO(), encoding="cp1252") as stream:
        monkeypatch.setenv("LANG", "de_DE.UTF-8")
        assert output.ascii_only(stream)
