"""Devices agree with themselves, and names mean one device or none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.catalog import shipped_devices
from advisor.errors import InputError
from advisor.hardware import Device, NameIndex, NumberFormat, discrepancies, normalise, resolve

INDEX = NameIndex(shipped_devices())


def raw(device_id: str) -> dict[str, Any]:
    return INDEX.by_id[device_id].model_dump(mode="json")


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (("memory", "bandwidth_gb_s", 1200.0), "bandwidth"),
        (("memory", "data_rate_gbps", 19.5), "bandwidth"),
        (("compute", "fp32_tflops", 90.0), "fp32"),
        (("compute", "boost_clock_mhz", 2700), "fp32"),
        (("compute", "fp16_tflops", 165.2), "fp16"),
        (("compute", "multiprocessors", 144), "cores"),
        (("tensor", "number", 576), "tensor-number"),
        (("tensor", "rates", {"fp16/fp32": 330.3}), "tensor-fp16"),
        (("tensor", "rates", {"bf16/fp32": 330.3}), "tensor-bf16"),
        (("tensor", "rates", {"fp16/fp16": 165.2}), "tensor-fp16-fp16"),
        (("tensor", "rates", {"int8/int32": 1321}), "tensor-int8"),
        (("tensor", "half_rate_fp32_accumulate", False), "tensor-fp8"),
    ],
)
def test_a_planted_wrong_number_is_refused(change: tuple[str, str, Any], check: str) -> None:
    entry = raw("rtx-4090")
    group, field, value = change
    entry[group][field] = value
    with pytest.raises(ValueError, match=rf"{check}: the entry says"):
        Device.model_validate(entry)
    groups = ("bandwidth", "fp32", "fp16", "cores", "tensor-number", check)
    formats = ("fp16", "bf16", "tf32", "fp8", "int8", "fp16-fp16", "fp8-fp16")
    entry["exceptions"] = dict.fromkeys([*groups, *(f"tensor-{name}" for name in formats)], "planted")
    assert check in [name for name, *_ in discrepancies(Device.model_validate(entry))]


@pytest.mark.parametrize("device", shipped_devices(), ids=lambda device: device.id)
def test_every_number_agrees_or_has_a_reason(device: Device) -> None:
    failing = {check for check, *_ in discrepancies(device)}
    assert failing == set(device.exceptions), "an exception that is not needed hides a later mistake"
    assert all(len(reason) > 20 for reason in device.exceptions.values())


def test_geforce_halves_what_accumulates_in_fp32() -> None:
    geforce, professional = INDEX.by_id["rtx-4090"], INDEX.by_id["rtx-6000-ada"]
    assert geforce.tensor_tflops(NumberFormat.FP16, "fp32") == pytest.approx(165.2)
    assert geforce.tensor_tflops(NumberFormat.FP16, "fp16") == pytest.approx(330.3)
    assert professional.tensor_tflops(NumberFormat.FP16, "fp32") == professional.tensor_tflops(
        NumberFormat.FP16, "fp16"
    )
    assert INDEX.by_id["gtx-1080-ti"].tensor_tflops(NumberFormat.FP16) is None


@pytest.mark.parametrize(
    ("device_id", "fp16"),
    [("a100-sxm4-80gb", 312), ("v100-sxm2-16gb", 125), ("t4", 65), ("rtx-a6000", 154.8), ("a10", 125),
     ("a40", 149.7),
     ("rtx-3090", 71), ("rtx-5090", 209.5), ("l4", 121), ("h100-sxm5-80gb", 989), ("mi300x", 1307)],
)  # fmt: skip
def test_training_rates_are_those_of_the_datasheets(device_id: str, fp16: float) -> None:
    assert INDEX.by_id[device_id].tensor_tflops(NumberFormat.FP16, "fp32") == pytest.approx(fp16, rel=0.01)


@pytest.mark.parametrize(
    ("name", "device_id"),
    [
        ("rtx-4090", "rtx-4090"), ("RTX 4090", "rtx-4090"), ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("GeForce RTX 4090", "rtx-4090"), ("4090", "rtx-4090"),
        ("rtx_4090", "rtx-4090"), ("RTX4090", "rtx-4090"),
        ("RTX 4090 Laptop GPU", "rtx-4090-laptop"), ("A4000", "rtx-a4000"), ("a40", "a40"), ("A40", "a40"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm4-80gb"), ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("A100 80GB SXM", "a100-sxm4-80gb"), ("NVIDIA H100 80GB HBM3", "h100-sxm5-80gb"),
        ("Tesla T4", "t4"),
        ("NVIDIA L40", "l40"), ("NVIDIA L40S", "l40s"), ("TITAN X (Pascal)", "titan-x-pascal"),
        ("GeForce GTX 1080", "gtx-1080"), ("Tesla V100-SXM2-16GB", "v100-sxm2-16gb"),
        ("Apple M1", "apple-m1"),
        ("Apple M1 CPU", "apple-m1-cpu"), ("AMD Radeon RX 7900 XTX", "rx-7900-xtx"),
        ("Titan RTX", "titan-rtx"),
        ("AMD Instinct MI300X", "mi300x"), ("Intel(R) Core(TM) i9-7920X CPU @ 2.90GHz", "core-i9-7920x"),
        ("Quadro RTX 6000", "quadro-rtx-6000"), ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
    ],
)  # fmt: skip
def test_names_that_mean_one_device(name: str, device_id: str) -> None:
    assert INDEX.resolve(name).id == device_id
    assert resolve(name, shipped_devices()).id == device_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RTX 3080", {"rtx-3080-10gb", "rtx-3080-12gb"}),
        ("rtx-4060-ti", {"rtx-4060-ti-8gb", "rtx-4060-ti-16gb"}),
        ("gtx 1060", {"gtx-1060-3gb", "gtx-1060-6gb"}),
        ("A100", {"a100-pcie-40gb", "a100-pcie-80gb", "a100-sxm4-40gb", "a100-sxm4-80gb"}),
        ("A100 80GB", {"a100-pcie-80gb", "a100-sxm4-80gb"}),
        ("h100", {"h100-pcie-80gb", "h100-sxm5-80gb", "h100-nvl-94gb"}),
    ],
)
def test_an_ambiguous_name_lists_the_candidates(name: str, expected: set[str]) -> None:
    with pytest.raises(InputError, match="devices") as caught:
        INDEX.resolve(name)
    assert set(caught.value.candidates) == expected


def test_memory_then_pci_id_tell_cards_apart() -> None:
    name = "NVIDIA GeForce RTX 3080"
    assert INDEX.resolve(name, 10240).id == "rtx-3080-10gb"
    assert INDEX.resolve(name, 12288).id == "rtx-3080-12gb"
    assert INDEX.resolve("NVIDIA GeForce RTX 5060 Ti", 16311, "0x2D0410DE").id == "rtx-5060-ti-16gb"
    assert INDEX.resolve("NVIDIA GeForce RTX 5060 Ti", 8151, "0x2D0410DE").id == "rtx-5060-ti-8gb"
    assert INDEX.resolve("NVIDIA GeForce GTX 1080", 8192, "0x1B80").id == "gtx-1080"
    assert INDEX.resolve("NVIDIA GeForce GTX 1080", 8192, "1be0").id == "gtx-1080-laptop"
    with pytest.raises(InputError, match="2 devices"):
        INDEX.resolve("NVIDIA GeForce GTX 1080", 8192)
    with pytest.raises(InputError, match="2 devices"):
        INDEX.resolve(name, 20000)


@pytest.mark.parametrize("name", ["", "   ", "rtx-9999", "A400", "GeForce", "409", "rtx 4090 d laptop"])
def test_an_unknown_name_is_never_guessed(name: str) -> None:
    with pytest.raises(InputError):
        INDEX.resolve(name)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        INDEX.resolve("rtx-4009")
    assert "rtx-4090" in caught.value.candidates


def test_every_driver_name_finds_its_device() -> None:
    for device in shipped_devices():
        assert INDEX.resolve(device.id) is device
        known = device.identifiers
        for name in known.nvml_names:
            total = device.memory.reported_mib or device.memory.size_gib * 1024 * 0.98
            for pci in known.pci_device_ids or (None,):
                shared = [d for d in INDEX.by_name[normalise(name)] if pci in d.identifiers.pci_device_ids]
                found = INDEX.resolve(name, total, pci)
                assert found is device or (
                    found in shared and found.memory.size_gib == device.memory.size_gib
                )


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([d.name for d in shipped_devices()]),
    st.sampled_from(["NVIDIA ", "AMD ", ""]),
    st.booleans(),
)
def test_decoration_does_not_change_a_name(name: str, prefix: str, upper: bool) -> None:
    decorated = prefix + (name.upper() if upper else name.lower()) + " Graphics"
    assert normalise(decorated) == normalise(name)


@given(st.text(max_size=30))
def test_any_name_is_a_device_or_an_input_error(name: str) -> None:
    try:
        found = INDEX.resolve(name)
    except InputError:
        return
    assert normalise(name) in {
        normalise(known)
        for known in (found.id, found.name, *found.identifiers.nvml_names, *found.identifiers.aliases)
    }
