"""The shipped transformers: the index and the files agree, every entry is what it says, names are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.describe.named import list_models, load_named, model_names
from advisor.describe.weights import parameter_count
from advisor.errors import InputError
from advisor.yaml_io import read_yaml

CATALOG = Path(__file__).parents[1] / "catalog"
FOLDER = CATALOG / "models" / "transformers"


def test_the_index_lists_what_the_files_hold() -> None:
    files = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        document = read_yaml(path)
        assert isinstance(document, dict)
        assert document["family"] == path.stem
        files[path.stem] = {entry["name"]: entry.get("aliases", []) for entry in document["models"]}
        assert len(files[path.stem]) == len(document["models"]), "a name is described twice"
    index = read_yaml(CATALOG / "models" / "index.yaml")
    assert isinstance(index, dict)
    assert index["transformers"] == files


def test_no_name_means_two_models() -> None:
    known = [name for model in list_models(CATALOG) for name in (model.name, *model.aliases)]
    assert len(known) == len(set(known))
    assert all(name == name.lower() and "_" not in name and " " not in name for name in known)


def test_many_models_are_shipped() -> None:
    assert len(model_names(CATALOG)) >= 150
    assert model_names(CATALOG) == tuple(model.name for model in list_models(CATALOG))


@pytest.mark.parametrize("name", model_names(CATALOG))
def test_an_entry_is_what_it_says(name: str) -> None:
    model = load_named(CATALOG, name)
    assert model.name == name
    assert parameter_count(model.transformer) == model.parameters
    assert model.parameters_source
    assert 2018 <= int(model.released[:4]) <= 2030
    assert model.sequence_length >= 50
    if model.transformer.position == "learned" and model.transformer.kind != "encoder-decoder":
        assert model.sequence_length <= model.transformer.position_rows


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("llama-3.1-8b", "llama-3.1-8b"),
        ("Llama-3.1-8B", "llama-3.1-8b"),
        ("llama3.1_8b", "llama-3.1-8b"),
        (" gpt2 ", "gpt2"),
        ("bert-base-uncased", "bert-base"),
        ("deepseek-r1", "deepseek-v3"),
        ("t5-v1.1-xl", "flan-t5-xl"),
    ],
)
def test_names_and_aliases_are_found(spelling: str, name: str) -> None:
    assert load_named(CATALOG, spelling).name == name


@pytest.mark.parametrize(("wrong", "candidate"), [("lama-3.1-8b", "llama-3.1-8b"), ("gpt2-xxl", "gpt2-xl")])
def test_an_unknown_name_lists_the_nearest(wrong: str, candidate: str) -> None:
    with pytest.raises(InputError) as caught:
        load_named(CATALOG, wrong)
    assert candidate in caught.value.candidates


@pytest.mark.parametrize("name", ["", "../index", "llama/../gpt", "\x00", "a" * 10_000])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(InputError):
        load_named(CATALOG, name)


def test_a_damaged_catalog_says_which_file(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "transformers"
    folder.mkdir(parents=True)
    (tmp_path / "models" / "index.yaml").write_text("transformers: {odd: {odd-1b: [], odd-2b: []}}\n")
    (folder / "odd.yaml").write_text("family: odd\nmodels:\n  - {name: odd-1b, parameters: -5}\n")
    for name in ("odd-1b", "odd-2b"):
        with pytest.raises(InputError) as caught:
            load_named(tmp_path, name)
        assert "odd.yaml" in str(caught.value)
