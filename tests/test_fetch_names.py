"""What sources call GPUs: exact, by memory, and never guessed."""

from __future__ import annotations

import dataclasses
import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.catalog import shipped_devices
from advisor.fetch.about import load_sources
from advisor.fetch.names import Found, Names, NotFound, load_names
from advisor.fetch.offers import Offer
from advisor.fetch.records import LastGood, believe

NAMES = Names(shipped_devices())
IDS = {device.id for device in shipped_devices()}


def offer(
    provider: str,
    name: str,
    memory_gb: float | None = None,
    instance: str | None = None,
    count: int | None = 1,
) -> Offer:
    return Offer(provider, instance, None, (name,), memory_gb, count, 1.0, False, "2026-11-20")


def test_every_id_in_the_file_is_in_the_catalog() -> None:
    assert load_names().gpu_ids() - IDS == set()


def test_the_file_speaks_of_providers_that_a_source_has() -> None:
    file = load_names()
    providers = {part for about in load_sources().sources.values() for part in about.parts} | {"any"}
    for mentioned in (
        file.instances,
        file.names,
        file.assumed,
        file.not_counted,
        file.evidence,
        file.instance_is_a_name,
    ):
        assert set(mentioned) <= providers
    assert set(file.instances) | set(file.names) | set(file.assumed) <= set(file.evidence)


@pytest.mark.parametrize(
    ("provider", "instance", "name", "memory_gb", "count", "gpu_id"),
    [
        ("aws", "p4d.24xlarge", "A100", 40, 8, "a100-sxm4-40gb"),
        ("aws", "p4de.24xlarge", "A100", 80, 8, "a100-sxm4-80gb"),
        ("aws", "p5.48xlarge", "H100", 80, 8, "h100-sxm5-80gb"),
        ("aws", "g4dn.12xlarge", "T4", 16, 4, "t4"),
        ("aws", "g6e.48xlarge", "L40S", 44.7, 8, "l40s"),
        ("aws", "g7.2xlarge", "RTXPRO4500", 32, 1, "rtx-pro-4500-blackwell"),
        ("aws", "g7e.2xlarge", "RTXPRO6000", 96, 1, "rtx-pro-6000-blackwell-server"),
        ("azure", "Standard_NC24ads_A100_v4", "A100", 80, 1, "a100-pcie-80gb"),
        ("azure", "Standard_ND96asr_v4", "A100", 40, 8, "a100-sxm4-40gb"),
        ("azure", "Standard_NC40ads_H100_v5", "H100NVL", 94, 1, "h100-nvl-94gb"),
        ("gcp", "a2-ultragpu-8g", "A100", 80, 8, "a100-sxm4-80gb"),
        ("gcp", "n1-standard-8", "V100", 16, 1, "v100-sxm2-16gb"),
        ("gcp", "g4-standard-48", "RTXPRO6000", 96, 1, "rtx-pro-6000-blackwell-server"),
        ("lambda", "gpu_1x_a100", "A100", 40, 1, "a100-pcie-40gb"),
        ("lambda", "gpu_8x_a100", "A100", 40, 8, "a100-sxm4-40gb"),
        ("lambda", "gpu_1x_rtx6000", "RTX6000", 24, 1, "quadro-rtx-6000"),
        ("nebius", "gpu-h100-sxm 8gpu-128vcpu-1600gb", "H100", 80, 8, "h100-sxm5-80gb"),
        ("oci", "BM.GPU.A100-v2.8", "A100", 80, 8, "a100-sxm4-80gb"),
        ("oci", "BM.GPU.MI300X.8", "MI300X", 192, 8, "mi300x"),
        ("runpod", "NVIDIA A100 80GB PCIe", "A100", 80, 2, "a100-pcie-80gb"),
        ("runpod", "NVIDIA H100 80GB HBM3", "H100", 80, 1, "h100-sxm5-80gb"),
        ("runpod", "AMD Instinct MI300X OAM", "MI300X", 192, 1, "mi300x"),
        ("verda", "1A100.22V", "A100", 80, 1, "a100-sxm4-80gb"),
        ("verda", "1A100.40S.22V", "A100", 40, 1, "a100-sxm4-40gb"),
        ("cloudrift", "rtx49-10c-kn.1", "RTX4090", 24, 1, "rtx-4090"),
        ("vast", None, "RTX 4090", 24, 1, "rtx-4090"),
        ("vast", None, "RTX 4070S Ti", 16, 1, "rtx-4070-ti-super"),
        ("vast", None, "RTX 3060", 12, 1, "rtx-3060-12gb"),
        ("vast", None, "RTX 4060 Ti", 16, 1, "rtx-4060-ti-16gb"),
        ("vast", None, "A100 SXM4", 80, 8, "a100-sxm4-80gb"),
        ("vast", None, "A100 PCIE", 40, 1, "a100-pcie-40gb"),
        ("vast", None, "H100 SXM", 80, 8, "h100-sxm5-80gb"),
        ("vast", None, "RTX 6000Ada", 48, 1, "rtx-6000-ada"),
        ("vast", None, "Q RTX 8000", 48, 1, "quadro-rtx-8000"),
        ("vast", None, "RTX A4000", 16, 1, "rtx-a4000"),
        ("hyperstack", "n3-A100x8-NVLink", "A100-80GB", 80, 8, "a100-pcie-80gb"),
        ("hyperstack", "n3-H100-SXM5x8", "H100", 80, 8, "h100-sxm5-80gb"),
        ("oci", "BM.GPU.NEW.8", "MI325X", 288, 8, "mi325x"),
        ("vast", None, "Tesla P100", 12, 1, "tesla-p100-pcie-12gb"),
        ("vast", None, "GTX 1660 S", 6, 1, "gtx-1660-super"),
        ("vast", None, "GH200 SXM", 96, 1, "gh200-96gb"),
        ("cloudrift", None, "RTX4000", 8, 1, "quadro-rtx-4000"),
        ("cloudrift", None, "RTX5000", 32, 1, "rtx-5000-ada"),
        ("cloudrift", None, "RTX 6000", 48, 1, "rtx-6000-ada"),
        ("cloudrift", None, "RTX6000", 24, 1, "quadro-rtx-6000"),
        ("cloudrift", None, "A2000", 12, 1, "rtx-a2000-12gb"),
        ("cloudrift", None, "RTX PRO 5000", 72, 1, "rtx-pro-5000-blackwell-72gb"),
        ("cloudrift", None, "P6000", 24, 1, "quadro-p6000"),
    ],
)  # fmt: skip
def test_known_offers(
    provider: str, instance: str | None, name: str, memory_gb: float, count: int, gpu_id: str
) -> None:
    assert NAMES.find(offer(provider, name, memory_gb, instance, count)) == Found(gpu_id, count)


@pytest.mark.parametrize(
    ("provider", "name", "memory_gb", "gpu_id"),
    [
        ("vast", "Tesla V100", 16, "v100-sxm2-16gb"),
        ("vast", "Tesla V100", 32, "v100-sxm2-32gb"),
        ("vast", "Tesla P100", 16, "tesla-p100-pcie-16gb"),
        ("verda", "RTXPRO6000", 96, "rtx-pro-6000-blackwell-server"),
        ("cloudrift", "RTXPRO6000", 96, "rtx-pro-6000-blackwell-server"),
    ],
)
def test_a_form_that_is_not_said_is_an_assumption_and_says_so(
    provider: str, name: str, memory_gb: float, gpu_id: str
) -> None:
    one = offer(provider, name, memory_gb)
    assert NAMES.find(one) == Found(gpu_id, 1, assumed=True)
    checks = load_sources().checks
    for note in (None, "median of 3 offers"):
        told = dataclasses.replace(one, note=note)
        (record,) = believe(
            [told], NAMES, checks, LastGood(), "test", datetime.date(2026, 11, 23)
        ).records.values()
        assert record.gpu_id == gpu_id
        assert (record.note or "").endswith("assumed")
        assert (record.note or "").startswith(note or "the source does not say")


@pytest.mark.parametrize(
    ("provider", "name", "memory_gb"),
    [
        ("vast", "A100", 80),  # SXM or PCIe
        ("vast", "H100", 80),
        ("vast", "Tesla V100", None),
        ("cloudrift", "A100", 80),
        ("cloudrift", "V100", 16),
        ("oci", "Tesla V100", 32),
        ("oci", "Tesla P100", 16),
        ("vast", "RTX 4000", 20),  # Ada, or its SFF
        ("vast", "RTX 5000", None),
        ("vast", "GH200", None),
        ("vast", "A100 SXM4", None),
        ("vast", "RTX 3060", None),
        ("vast", "A4", 24),
        ("vast", "A", 48),
        ("vast", "40", 48),
        ("vast", "RTX", 24),
        ("vast", "A40 something", 48),
        ("vast", "RTXPRO6000", 96),  # workstation, server or Max-Q
        ("vast", "RTX 9090", 64),
        ("vast", "A100 SXM4", 20),  # a share of one
        ("vast", "A40", 16),
        ("vast", "L40S", 24),
        ("vast", "", None),
    ],
)
def test_what_is_not_one_gpu_is_not_guessed(provider: str, name: str, memory_gb: float | None) -> None:
    found = NAMES.find(offer(provider, name, memory_gb))
    assert isinstance(found, NotFound)
    assert found.name is not None
    assert name in found.name


def test_a4000_is_not_a40() -> None:
    assert NAMES.find(offer("vast", "A4000", 16)) == Found("rtx-a4000", 1)
    assert NAMES.find(offer("vast", "A40", 48)) == Found("a40", 1)
    assert isinstance(NAMES.find(offer("vast", "A4000", 48)), NotFound)


def test_instance_types_are_compared_whole() -> None:
    assert isinstance(NAMES.find(offer("aws", "A100", 40, "xp4d.24xlarge", 8)), NotFound)
    assert isinstance(NAMES.find(offer("aws", "A100", 40, "p4d.24xlarge.metal", 8)), NotFound)
    assert isinstance(NAMES.find(offer("vast", "A100", 40, "p4d.24xlarge", 8)), NotFound)


def test_memory_and_number_must_be_those_of_the_instance_type() -> None:
    wrong_memory = NAMES.find(offer("aws", "A100", 80, "p4d.24xlarge", 8))
    assert wrong_memory == NotFound("the name is not known", "A100 80 GB (aws)")
    wrong_number = NAMES.find(offer("aws", "A100", 40, "p4d.24xlarge", 4))
    assert isinstance(wrong_number, NotFound)
    assert "number of GPUs" in wrong_number.reason
    assert NAMES.find(offer("azure", "x", None, "Standard_ND96asr_v4", None)) == Found("a100-sxm4-40gb", 8)
    assert isinstance(NAMES.find(offer("vast", "RTX 4090", 24, None, None)), NotFound)


@pytest.mark.parametrize("instance", ["Standard_NV6ads_A10_v5", "Standard_NP10s"])
def test_shares_of_a_gpu_are_left_out_with_a_reason(instance: str) -> None:
    found = NAMES.find(offer("azure", instance, None, instance, None))
    assert isinstance(found, NotFound)
    assert found.name is None


@given(st.text(max_size=30), st.floats(min_value=0, max_value=1e4), st.text(max_size=30))
def test_any_text_is_a_gpu_of_the_catalog_or_not_found(name: str, memory_gb: float, instance: str) -> None:
    for provider in ("aws", "runpod", name):
        found = NAMES.find(offer(provider, name, memory_gb, instance))
        assert isinstance(found, NotFound) or found.gpu_id in IDS


def test_the_digest_changes_with_the_catalog() -> None:
    devices = shipped_devices()
    assert Names(devices).digest() == NAMES.digest()
    assert Names(devices[5:]).digest() != NAMES.digest()


def test_a_gpu_that_the_catalog_lacks_is_not_found() -> None:
    without = Names(device for device in shipped_devices() if not device.id.startswith("a100"))
    assert isinstance(without.find(offer("aws", "A100", 40, "p4d.24xlarge", 8)), NotFound)
    assert isinstance(without.find(offer("vast", "A100 SXM4", 40)), NotFound)
