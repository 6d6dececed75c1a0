"""Models that are a user's own code: when it runs, and what it may do wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from advisor.cli import main

MODULE = """
import sys, time
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.stem(x).mean((2, 3)))

def build(width=8):
    print("printed by the factory")
    Path(__file__).with_name("it-ran").touch()
    return Net(width)

def hang():
    time.sleep(600)

def leave():
    sys.exit(7)

def crash():
    raise ValueError("no weights here")

def nothing():
    return "a string"

def squared(output):
    return (output ** 2).mean()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MODULE)
    return tmp_path


def workload(folder: Path, **torch_model: object) -> str:
    path = folder / "job.json"
    model = {"factory": "mine:build", "input": {"shape": [3, 16, 16]}} | torch_model
    path.write_text(json.dumps({"model": {"torch": model}, "data": {"samples": 1000}}))
    return str(path)


def ask(path: str, *more: str) -> int:
    return main(["estimate", path, "--gpu", "rtx-3090", "--json", *more])


def test_code_runs_only_when_allowed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(workload(folder)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "--allow-code" in said.err
    assert not (folder / "it-ran").exists()


def test_an_answer_is_pure_json_whatever_the_code_prints_and_a_table_gives_the_same(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    path = workload(folder, args={"width": 16}, loss="mine:squared")
    assert ask(path, "--allow-code", "--with-cpu", "ryzen-9-9950x") == 0
    direct = json.loads(capsys.readouterr().out)
    assert (folder / "it-ran").exists()
    assert direct["estimates"][0]["speedup_over_cpu"]["value"] > 0
    table = folder / "mine.table.json"
    assert main(["describe", path, "--allow-code", "--output", str(table)]) == 0
    assert json.loads(table.read_text())["parameters"]["total"] == 3 * 16 * 9 + 16 + 160 + 10
    (folder / "again.json").write_text(
        json.dumps({"model": {"table": "mine.table.json"}, "data": {"samples": 1000}})
    )
    assert ask(str(folder / "again.json")) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["estimates"][0]["step_time_s"] == direct["estimates"][0]["step_time_s"]
    assert again["estimates"][0]["memory"] == direct["estimates"][0]["memory"]


@pytest.mark.parametrize(
    ("model", "field", "words"),
    [
        ({"factory": "mine:crash"}, "model.torch.factory", "ValueError: no weights here"),
        ({"factory": "mine:nothing"}, "model.torch.factory", "returned str"),
        ({"factory": "mine:absent"}, "model.torch.factory", "no absent"),
        ({"factory": "absent:build"}, "model.torch.factory", "absent"),
        ({"factory": "mine:leave"}, "model.torch.factory", "7"),
        ({"input": {"shape": [4, 16, 16]}}, "model.torch.input", "stem (Conv2d)"),
        ({"loss": "mine:absent"}, "model.torch.loss", "absent"),
        ({"args": {"depth": 3}}, "model.torch.factory", "depth"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    folder: Path, capsys: pytest.CaptureFixture[str], model: dict[str, object], field: str, words: str
) -> None:
    assert ask(workload(folder, **model), "--allow-code") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert field in said.err
    assert words in said.err
    assert "Traceback" not in said.err


def test_code_that_hangs_is_ended(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(workload(folder, factory="mine:hang"), "--allow-code", "--trace-timeout", "5") == 2
    assert "--trace-timeout" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"factory": "no colon"}, "factory"),
        ({"input": {"shape": [3], "value": 2}}, "exactly one"),
        ({"input": {"shape": [0]}}, "shape"),
        ({"loss": "hinge"}, "cross-entropy"),
        ({"parts": [{"factory": "mine:build"}]}, "input: the field is missing"),
    ],
)
def test_a_wrong_document_is_refused_before_anything_runs(
    folder: Path, capsys: pytest.CaptureFixture[str], model: dict[str, object], words: str
) -> None:
    assert ask(workload(folder, **model), "--allow-code") == 2
    assert words in capsys.readouterr().err
    assert not (folder / "it-ran").exists()


def test_code_runs_once_however_often_it_is_asked_about(folder: Path) -> None:
    from advisor.service import CodePolicy, open_advisor
    from advisor.workload_file import read_workload

    asked = []
    advisor = open_advisor(code=CodePolicy(allowed=lambda model: asked.append(model) is None))
    job = read_workload(workload(folder))
    first = advisor.estimate(job, gpus=["rtx-3090"])
    assert advisor.estimate(job, gpus=["rtx-3090"]) == first
    assert len(asked) == 1


MISTAKES = """
import torch
from torch import nn

class Reading(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.layer, self.how = nn.Linear(8, 8), how

    def forward(self, x):
        x = self.layer(x)
        if self.how == "numpy":
            x.numpy()
        if self.how == "item":
            x.sum().item()
        return x

def lazy():
    return nn.Sequential(nn.LazyLinear(4))

def on_cuda():
    return nn.Linear(8, 8).to(torch.device("cuda"))
"""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"factory": "wrong:Reading", "args": {"how": "numpy"}}, ("wrong.py:13", "has shapes and no values")),
        ({"factory": "wrong:Reading", "args": {"how": "item"}}, ("wrong.py:15", "has shapes and no values")),
        ({"factory": "wrong:on_cuda"}, ("wrong.py:22", "leave out .cuda()")),
        ({"factory": "wrong:lazy"}, ("lazy layers", "uninitialized parameter")),
    ],
)
def test_a_mistake_is_shown_where_it_is_with_a_way_out(
    folder: Path, capsys: pytest.CaptureFixture[str], model: dict[str, object], words: tuple[str, ...]
) -> None:
    (folder / "wrong.py").write_text(MISTAKES)
    assert ask(workload(folder, input={"shape": [8]}, **model), "--allow-code") == 2
    said = " ".join(capsys.readouterr().err.split())
    for each in words:
        assert each in said


def test_users_files_may_have_the_names_of_modules_that_the_tracer_uses(folder: Path) -> None:
    for name in ("json", "advisor", "traceback", "typing"):
        (folder / f"{name}.py").write_text("raise RuntimeError('this is not the module that was meant')")
    assert ask(workload(folder), "--allow-code") == 0


def test_files_beside_the_current_folder_do_not_stand_in_for_modules(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "json.py").write_text("raise RuntimeError('this is not the module that was meant')")
    monkeypatch.chdir(folder)
    assert ask(workload(folder), "--allow-code") == 0
