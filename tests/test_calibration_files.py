"""Profiles as files: kept, shown, exported, imported, removed; damaged and foreign ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from advisor import calibration
from advisor.cli import main
from advisor.documents import CheckAnswer
from advisor.errors import ExternalError, InputError
from advisor.profile import MeasuredDevice, MeasuredHost, MeasuredSoftware, Profile, SuiteResult, Timing
from advisor.prove import load_checks, missed
from advisor.yaml_io import data_root


def profile(gpu: str = "rtx-4090", date: str = "2026-11-01") -> Profile:
    timing = Timing(median_s=0.01, spread=1.01, repeats=9, stable=True)
    return Profile(
        date=date, mode="quick",
        device=MeasuredDevice(kind="gpu", backend="cuda", name="NVIDIA GeForce RTX 4090", gpu=gpu, memory_mib=24564.0),
        software=MeasuredSoftware(torch="2.13.0", python="3.13.0", gpu_advisor="1"),
        host=MeasuredHost(system="Linux x86_64"),
        tests=(SuiteResult(test="linear-wide", precision="bf16", batch=16384, forward=timing, backward=timing),),
    )  # fmt: skip


def calibrate(*arguments: str) -> int:
    return int(main(["calibrate", *arguments]))


def test_what_is_kept_is_read_back_as_it_was():
    path = calibration.keep(profile(), "mine")
    assert calibration.read_profile(path) == profile()
    assert path.parent == calibration.own_folder()


def test_a_name_that_is_taken_gets_a_number_and_nothing_is_replaced():
    first = calibration.keep(profile(date="2026-01-01"), "mine")
    second = calibration.keep(profile(date="2026-02-02"), "mine")
    assert (first.name, second.name) == ("mine.yaml", "mine-2.yaml")
    assert calibration.read_profile(first).date == "2026-01-01"
    assert not list(first.parent.glob(".*"))


def test_a_folder_that_cannot_be_written_is_said(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(tmp_path / "file"))
    with pytest.raises(ExternalError, match="cannot be written"):
        calibration.keep(profile(), "mine")


def test_profiles_travel_by_export_and_import(tmp_path, capsys):
    calibration.keep(profile(), "mine")
    target = tmp_path / "theirs.yaml"
    assert calibrate("export", "mine", str(target)) == 0
    assert calibrate("export", "mine", str(target)) == 2
    assert "the file exists" in capsys.readouterr().err
    assert calibrate("import", str(target)) == 0
    names = {each.name for each in calibration.stored_profiles(())[0]}
    assert names == {"mine", "theirs"}
    assert calibrate("remove", "mine") == 0
    assert {each.name for each in calibration.stored_profiles(())[0]} == {"theirs"}
    assert calibrate("remove", "mine") == 2
    assert "no calibration of this name" in capsys.readouterr().err


def test_a_team_has_profiles_in_its_catalog_folder(tmp_path, capsys):
    folder = tmp_path / "team"
    (folder / "calibration").mkdir(parents=True)
    (folder / "calibration" / "team.yaml").write_text(calibration.text_of(profile()))
    assert main(["estimate", "gpt2", "--gpu", "rtx-4090", "--catalog", str(folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["estimates"][0]["calibration"]["profile"] == "team"
    assert calibrate("show", "--catalog", str(folder)) == 0
    assert "team" in capsys.readouterr().out
    assert calibrate("remove", "team", "--catalog", str(folder)) == 2
    assert (folder / "calibration" / "team.yaml").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema: gpu-advisor/estimate/1\n", ("not a calibration", "gpu-advisor/estimate/1")),
        ("schema: gpu-advisor/calibration/2\n", ("newer version", "update gpu-advisor")),
        ("- 1\n- 2\n", ("not a calibration",)),
        ("schema: gpu-advisor/calibration/1\ndate: '2026-11-01'\nmode: slow\n", ("mode",)),
        (
            calibration.text_of(profile(date="2026-11-01")).replace("2026-11-01", "2026-99-99"),
            ("date", "month"),
        ),
        ("schema: [\n", ("bad.yaml:",)),
    ],
)
def test_a_damaged_or_foreign_file_is_reported_left_alone_and_the_rest_goes_on(text, words, capsys):
    good = calibration.keep(profile(), "good")
    bad = good.parent / "bad.yaml"
    bad.write_text(text)
    with pytest.raises(InputError) as caught:
        calibration.read_profile(bad)
    assert all(word in str(caught.value) for word in words)
    assert main(["estimate", "gpt2", "--gpu", "rtx-4090", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["estimates"][0]["calibration"]["profile"] == "good"
    assert any("bad.yaml" in warning and "left out" in warning for warning in answer["warnings"])
    assert bad.read_text() == text
    assert calibrate("import", str(bad)) == 2


def test_an_impossible_time_is_refused():
    text = calibration.text_of(profile()).replace("median_s: 0.01", "median_s: -1.0", 1)
    path = calibration.own_folder() / "bad.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match="median_s"):
        calibration.read_profile(path)


@pytest.mark.parametrize(
    "words", [("show", "a", "b"), ("export", "mine"), ("import",), ("remove",), ("forget", "mine")]
)
def test_other_words_are_answered_with_those_that_are_known(words, capsys):
    assert calibrate(*words) == 2
    assert "export NAME FILE" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    pytest.importorskip("torch")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPU_ADVISOR_DATA", str(tmp_path / "file"))
    assert calibrate("--device", "cpu", "--quick") == 3
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "[1/" not in said


def test_without_profiles_show_says_how_to_make_one(capsys):
    assert calibrate("show") == 0
    assert "gpu-advisor calibrate makes one" in capsys.readouterr().out


def test_a_profile_is_shown_with_what_it_says_of_the_device(capsys):
    calibration.keep(profile(), "mine")
    assert calibrate("show", "mine", "--width", "100") == 0
    shown = capsys.readouterr().out
    assert "linear-wide" in shown
    assert "gemm forward half" in shown


def test_looking_after_profiles_needs_no_torch(monkeypatch, tmp_path):
    calibration.keep(profile(), "mine")
    (tmp_path / "torch.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert calibrate("show") == 0
    assert Path(calibration.own_folder() / "mine.yaml").is_file()


def test_evidence_that_is_shipped_can_be_read_and_meets_its_targets():
    folder = data_root() / "calibration" / "evidence"
    profiles = sorted(folder.glob("*.yaml"))
    assert profiles
    for path in profiles:
        found = calibration.read_profile(path)
        checks = json.loads((folder / f"{path.stem}-checks.json").read_text("utf-8"))
        answers = [CheckAnswer.model_validate(each) for each in checks]
        assert len(answers) == len(load_checks(data_root()).workloads[found.device.kind])
        assert missed(answers, load_checks(data_root()).targets[found.device.kind]) == []
