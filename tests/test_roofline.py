"""Operators under the roof, and what buying and renting add up to over the hours."""

from __future__ import annotations

import pytest

from advisor.service import Advisor, open_advisor
from advisor.workload import Workload


@pytest.fixture(scope="module")
def service() -> Advisor:
    return open_advisor()


JOBS = {
    "one GPU": ({"model": {"name": "resnet50"}}, "rtx-4090", 1),
    "adapters": ({"model": {"name": "llama-3.1-8b"}, "method": "lora"}, "h100-sxm5-80gb", 1),
    "replicas": ({"model": {"name": "gpt2"}}, "a100-sxm4-80gb", 4),
    "tensor parallel": (
        {"model": {"name": "llama-3.1-8b"}, "sharding": {"tensor": 8}}, "h100-sxm5-80gb", 8,
    ),
    "pipeline": ({"model": {"name": "llama-3.1-8b"}, "sharding": {"pipeline": 8}}, "h100-sxm5-80gb", 8),
    "serving": ({"model": {"name": "llama-3.1-8b"}, "task": "inference"}, "h100-sxm5-80gb", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_the_operators_of_one_gpu_take_no_longer_than_the_step_and_stay_under_the_peak(
    service: Advisor, name: str
) -> None:
    document, gpu, count = JOBS[name]
    (estimate,) = service.estimate(Workload.model_validate(document), gpus=[gpu], count=count).estimates
    assert estimate.fits
    assert estimate.step_time_s is not None
    assert estimate.roofline is not None
    roof = estimate.roofline
    assert 0 < sum(point.time_s for point in roof.operators) <= estimate.step_time_s.value * 1.001
    for point in roof.operators:
        assert point.tflops <= roof.peak_tflops
        assert point.flops == pytest.approx(point.tflops * 1e12 * point.time_s)
        assert point.intensity_flop_per_byte == pytest.approx(point.flops / point.moved_bytes)
    assert roof.ridge_flop_per_byte == pytest.approx(roof.peak_tflops * 1e12 / (roof.bandwidth_gb_s * 1e9))


def test_buying_and_renting_cost_the_same_where_buying_starts_to_pay(service: Advisor) -> None:
    job = Workload.model_validate({"model": {"name": "resnet50"}, "data": {"samples": 1281167, "epochs": 90}})
    (estimate,) = service.estimate(job, gpus=["rtx-4090"], count=2).estimates
    points = estimate.cost.over_time
    assert points[0].hours == 0
    assert points[0].buy_usd == estimate.cost.purchase_usd
    assert points[0].rent_usd == 0
    even = next(point for point in points if point.hours == estimate.cost.break_even_h)
    assert even.buy_usd == pytest.approx(even.rent_usd)
    assert points[-1].rent_usd == pytest.approx(points[-1].hours * (estimate.cost.rent_usd_per_h or 0))
