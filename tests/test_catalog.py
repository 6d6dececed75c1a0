"""The shipped catalog is complete and unambiguous; user entries add to it, override it, or are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from advisor import catalog, yaml_io
from advisor.catalog import indistinguishable, load_devices, merge, name_index, shipped_devices
from advisor.errors import InputError
from advisor.hardware import Device, NameIndex, NumberFormat, discrepancies, normalise
from advisor.quotes.products import Products
from advisor.quotes.words import load_words

REFERENCE_IDS = {
    *("rtx-3080-10gb", "rtx-3080-12gb", "gtx-1080-ti", "titan-rtx", "rtx-3090", "rtx-4090", "gtx-1660-ti"),
    *("gtx-1050-2gb", "a100-sxm4-80gb", "h100-sxm5-80gb"),
}


@pytest.fixture(autouse=True)
def no_personal_catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalog, "user_catalog", lambda: tmp_path / "absent")


def test_sizes_and_reference_ids() -> None:
    devices = load_devices()
    ids = [device.id for device in devices]
    assert len(ids) == len(set(ids))
    assert not REFERENCE_IDS.difference(ids)
    assert sum(device.kind == "gpu" for device in devices) >= 200
    assert sum(device.kind == "cpu" for device in devices) >= 12
    assert [device.id for device in load_devices()] == ids


@pytest.mark.parametrize("device", shipped_devices(), ids=lambda device: device.id)
def test_every_entry_is_sourced_and_plausible(device: Device) -> None:
    assert device.sources.get("*"), "every number has a source"
    assert device.origin == "catalog"
    assert not device.overrides
    if device.memory.reported_mib:
        assert 0.9 < device.memory.reported_mib / 1024 / device.memory.size_gib < 1.02
    if device.vendor == "nvidia" and device.kind == "gpu":
        assert device.capability is not None
    for part in device.identifiers.pci_device_ids:
        assert len(part) == 4
        assert int(part, 16)
    if device.tensor:
        rates = [(rate.format, rate.accumulate) for rate in device.tensor.rates]
        assert len(rates) == len(set(rates))
        bf16 = device.tensor_tflops(NumberFormat.BF16)
        assert bf16 is None or bf16 > device.compute.fp32_tflops * 0.5


def test_no_name_means_two_devices_that_nothing_tells_apart() -> None:
    assert indistinguishable(shipped_devices()) == []


def test_aliases_written_by_hand_mean_one_device_or_a_family_by_memory() -> None:
    owners: dict[str, list[Device]] = {}
    for device in shipped_devices():
        for alias in device.identifiers.aliases:
            owners.setdefault(normalise(alias), []).append(device)
    for alias, sharing in owners.items():
        sizes = [device.memory.size_gib for device in sharing]
        assert len(sizes) == len(set(sizes)), alias


@pytest.mark.parametrize("laptop", [False, True])
def test_no_card_has_the_bare_name_of_several_sizes_for_itself(laptop: bool) -> None:
    """What is sold in two sizes is not taken for one of them where a person names neither."""
    index = NameIndex(
        device
        for device in shipped_devices()
        if device.kind == "gpu" and (device.segment == "laptop") is laptop
    )
    bare: dict[str, set[str]] = {}
    for name, devices in index.by_name.items():
        short = re.sub(r"\d+gb", "", name)
        bare.setdefault(short, set()).update(device.id for device in devices)
    several = {name: ids for name, ids in bare.items() if len(ids) > 1}
    assert laptop or {"rtxa2000", "rtxpro5000blackwell", "m40", "rtx3050"} <= set(several)
    for name, ids in several.items():
        assert {device.id for device in index.by_name.get(name, ())} in (set(), ids), name


@pytest.mark.parametrize(
    "name", ["RTX A2000", "NVIDIA RTX A2000 GDDR6", "RTX PRO 5000 Blackwell", "Tesla M40"]
)
def test_a_quote_without_the_size_of_a_card_that_has_two_is_refused(name: str) -> None:
    products = Products(name_index(shipped_devices()), load_words().products)
    with pytest.raises(InputError, match=r"can mean 2 devices|several"):
        products.find(name)


def test_the_driver_still_tells_the_sizes_of_one_name_apart() -> None:
    index = name_index(shipped_devices())
    for name, mib, gpu_id in (
        ("NVIDIA RTX A2000", 6138, "rtx-a2000-6gb"),
        ("NVIDIA RTX A2000 12GB", 12282, "rtx-a2000-12gb"),
        ("NVIDIA RTX PRO 5000 Blackwell", 48935, "rtx-pro-5000-blackwell-48gb"),
        ("Tesla M40", 11448, "tesla-m40-12gb"),
        ("NVIDIA GeForce RTX 3080 Laptop GPU", 16125, "rtx-3080-16gb-laptop"),
    ):
        assert index.resolve(name, mib).id == gpu_id


def test_a_shared_name_is_detected() -> None:
    one = next(device for device in shipped_devices() if device.id == "rtx-4090")
    twin = one.model_copy(update={"id": "rtx-4090-twin"})
    assert ("rtx4090", "rtx-4090", "rtx-4090-twin") in indistinguishable((one, twin))


def test_data_is_found_in_the_package_before_the_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = tmp_path / "advisor" / "yaml_io.py"
    for folder in (tmp_path / "catalog" / "gpus", tmp_path / "advisor"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(yaml_io, "__file__", str(module))
    assert yaml_io.data_root.__wrapped__() == tmp_path / "catalog"
    (tmp_path / "advisor" / "_catalog" / "gpus").mkdir(parents=True)
    assert yaml_io.data_root.__wrapped__() == tmp_path / "advisor" / "_catalog"


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def test_a_partial_entry_overrides(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", "devices:\n  rtx-3090:\n    board: {tdp_w: 280}\n    notes: limited\n")
    before, after = load_devices(), load_devices([folder])
    assert [device.id for device in after] == [device.id for device in before]
    old, new = ({d.id: d for d in devices}["rtx-3090"] for devices in (before, after))
    assert (new.board.tdp_w, new.notes, new.overrides) == (280, "limited", True)
    assert new.origin.endswith("mine.yaml")
    assert new.memory == old.memory
    assert new.tensor == old.tensor
    assert name_index(after).resolve("RTX 3090") is new


def test_a_single_rate_is_overridden_and_still_checked(tmp_path: Path) -> None:
    text = "devices:\n  rtx-3090:\n    tensor: {rates: {fp16/fp32: 142.3}}\n"
    with pytest.raises(InputError, match=r"tensor-fp16: the entry says 142\.3") as caught:
        load_devices([write(tmp_path / "wrong", text)])
    assert caught.value.field == "devices.rtx-3090"
    assert caught.value.line == 2
    text += "    exceptions: {tensor-fp16: measured on a board with another firmware}\n"
    device = {d.id: d for d in load_devices([write(tmp_path / "excused", text)])}["rtx-3090"]
    assert device.tensor_tflops(NumberFormat.FP16, "fp32") == 142.3
    assert device.tensor_tflops(NumberFormat.BF16, "fp32") == 71.2
    assert [check for check, *_ in discrepancies(device)] == ["tensor-fp16"]


NEW = """\
devices:
  my-card:
    name: My Card
    vendor: nvidia
    architecture: Ada
    segment: consumer
    memory: {size_gib: 48, type: GDDR6X, bandwidth_gb_s: 1008}
    compute: {fp32_tflops: 82.6}
    board: {tdp_w: 450}
"""


def test_a_new_entry_and_a_folder_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "config", NEW)
    monkeypatch.setattr(catalog, "user_catalog", lambda: folder)
    mine = load_devices()[-1]
    assert (mine.id, mine.overrides, mine.launch_price) == ("my-card", False, None)
    other = write(tmp_path / "extra", "devices: {my-card: {board: {tdp_w: 400}}}")
    assert load_devices([other])[-1].board.tdp_w == 400


@pytest.mark.parametrize(
    ("text", "field", "line", "words"),
    [
        (NEW.replace("tdp_w", "tpd_w"), "devices.my-card.board.tpd_w", 9, "tdp_w"),
        (NEW.replace("nvidia", "nvidea"), "devices.my-card.vendor", 4, "nvidia"),
        (NEW.replace("48", "-1"), "devices.my-card.memory.size_gib", 7, "greater than or equal to 0.01"),
        (NEW.replace("my-card", "My Card"), "devices.My Card.id", 2, "pattern"),
        (NEW + "    origin: me\n", "devices.my-card.origin", None, "set by the reader"),
        (NEW + "    name: again\n", "name", 10, "twice"),
        ("- a\n", None, None, "mapping"),
        ("device: {}\n", "device", None, "devices"),
        ("devices: [1]\n", "devices", None, "mapping"),
        ("devices: {a: 1}\n", "devices.a", None, "mapping"),
        ("devices: {a: {id: b}}\n", "devices.a.id", None, "differs"),
        (
            "devices: {rtx-3090: {tensor: {rates: {fp16: 71}}}}\n",
            "devices.rtx-3090.tensor.rates",
            1,
            "fp16/fp32",
        ),
    ],
)
def test_a_users_error_says_where(
    tmp_path: Path, text: str, field: str | None, line: int | None, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_devices([write(tmp_path / "mine", text)])
    assert words in str(caught.value)
    assert caught.value.field == field
    assert str(caught.value.source).endswith("mine.yaml")
    if line:
        assert caught.value.line == line


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_devices([tmp_path / "typo"])


def test_merge_is_deep_and_leaves_its_arguments_alone() -> None:
    base = {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}
    assert merge(base, {"a": {"c": {"x": 3}}, "e": [2]}) == {"a": {"b": 1, "c": {"d": 2, "x": 3}}, "e": [2]}
    assert base == {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}
