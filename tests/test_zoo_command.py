"""The command that writes and checks the tables of the catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from advisor.yaml_io import data_root  # noqa: E402
from advisor.zoo import __main__ as zoo  # noqa: E402

NAME = "mlp-mnist"
MANIFEST = """
groups:
  - package: advisor
    version: "1"
    family: perceptron
    unit: image
    sample: an image
    parameters_source: a sum by hand
    networks:
      mlp-mnist:
        {factory: "advisor.zoo.small_nets:mlp_mnist", input: {shape: [1, 28, 28]}, title: M, parameters: 669706}
  - package: a-package-that-nobody-has
    version: "1"
    family: none
    unit: image
    sample: an image
    parameters_source: none
    networks:
      absent: {factory: "absent:build", input: {shape: [1]}, title: A, parameters: 1}
"""


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of tables whose manifest has one small network, written."""
    folder = tmp_path / "models" / "tables"
    folder.mkdir(parents=True)
    whole = MANIFEST.partition("  - package: a-package")[0]
    (folder.parent / "tables.yaml").write_text(whole)
    monkeypatch.setattr(zoo, "data_root", lambda: tmp_path)
    assert zoo.main([]) == 0
    return folder


def test_a_check_of_what_was_just_written_finds_nothing(tables: Path) -> None:
    assert zoo.main(["--check"]) == 0
    assert b"\r" not in (tables / f"{NAME}.json").read_bytes()


@pytest.mark.parametrize("name", [f"{NAME}.json", "index.json"])
def test_a_check_finds_a_file_that_differs_and_leaves_it(
    tables: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    changed = (tables / name).read_text().replace("perceptron", "something else")
    (tables / name).write_text(changed)
    assert zoo.main(["--check"]) == 1
    assert name in capsys.readouterr().err
    assert (tables / name).read_text() == changed


def test_a_check_refuses_a_table_of_another_torch(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tables / f"{NAME}.json"
    document = json.loads(path.read_text())
    document["origin"]["torch"] = "2.0.0"
    path.write_text(json.dumps(document))
    assert zoo.main(["--check"]) == 1
    assert "from torch 2.0.0" in capsys.readouterr().err


def test_a_check_fails_where_a_package_is_missing_and_writing_goes_on(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tables.parent / "tables.yaml").write_text(MANIFEST)
    assert zoo.main(["--check"]) == 1
    assert "a-package-that-nobody-has is not installed" in capsys.readouterr().err
    assert zoo.main([]) == 0
    assert zoo.main(["absent"]) == 1


def test_a_name_that_the_manifest_lacks_is_an_error(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.main([NAME, "mlp-mnits"]) == 2
    assert "mlp-mnits" in capsys.readouterr().err


def test_the_shipped_list_has_a_file_for_each_network() -> None:
    folder = data_root() / "models" / "tables"
    names = {
        each["name"] for each in json.loads((folder / "index.json").read_text(encoding="utf-8"))["networks"]
    }
    assert names == {path.stem for path in folder.glob("*.json")} - {"index"}
