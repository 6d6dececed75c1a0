"""Small documents and the words in them: devices, models, ratios, picks, reasons."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.calibration import StoredProfile
from advisor.cost_answers import described
from advisor.describe.named import NamedModel
from advisor.describe.shipped_networks import ShippedNetwork
from advisor.describe.subject import TransformerSubject
from advisor.describe.weights import active_parameter_count, parameter_count
from advisor.documents import (
    CalibrationFactorDocument,
    CostDocument,
    EstimateDocument,
    GpuDocument,
    ModelDocument,
    PickDocument,
    RatioDocument,
    StoredCalibrationDocument,
)
from advisor.estimation.devices import available_bytes
from advisor.execution import Constants, DeviceCalibration
from advisor.hardware import Device
from advisor.prices import PriceRecord
from advisor.problem import Problem
from advisor.ranking import Ranked
from advisor.units import GIB, format_money


def gpu_document(
    device: Device, buy: PriceRecord | None, rent: PriceRecord | None, constants: Constants
) -> GpuDocument:
    """Return one device as the list of devices shows it."""
    rates = {
        rate.format.value: rate.tflops
        for rate in (device.tensor.rates if device.tensor else ())
        if rate.accumulate in ("fp32", "int32")
    }
    return GpuDocument(
        id=device.id,
        name=device.name,
        kind=device.kind,
        vendor=device.vendor,
        architecture=device.architecture,
        segment=device.segment,
        released=device.released,
        memory_gib=device.memory.size_gib,
        available_gib=available_bytes(device, constants) / GIB,
        bandwidth_gb_s=device.memory.bandwidth_gb_s,
        fp32_tflops=device.compute.fp32_tflops,
        tensor_tflops=rates,
        tdp_w=device.board.tdp_w,
        purchase_usd=buy.price_usd if buy else None,
        purchase_price=described(buy),
        purchase_unverified=buy.unverified if buy else None,
        rent_usd_per_gpu_h=rent.price_usd if rent else None,
        rent_price=described(rent),
        prices_as_of=min((price.date for price in (buy, rent) if price), default=None),
        origin=device.origin,
        overrides=device.overrides,
    )


def model_document(model: NamedModel, *, dimensions: bool) -> ModelDocument:
    """Return one shipped model as the list of models shows it."""
    return ModelDocument(
        name=model.name,
        family=model.family,
        kind="mixture of experts" if model.transformer.experts else model.transformer.kind,
        parameters=model.parameters,
        active_parameters=active_parameter_count(model.transformer),
        parameters_source=model.parameters_source,
        sequence_length=model.sequence_length,
        aliases=model.aliases,
        dimensions=model.transformer.model_dump(mode="json", exclude_unset=True) if dimensions else None,
    )


def fetched_document(subject: TransformerSubject) -> ModelDocument:
    """Return a model of the Hugging Face hub with its dimensions, and what is to be said of them."""
    transformer = subject.transformer
    return ModelDocument(
        name=subject.name,
        family=subject.family,
        kind="mixture of experts" if transformer.experts else transformer.kind,
        parameters=parameter_count(transformer),
        active_parameters=active_parameter_count(transformer),
        parameters_source="; ".join(subject.notes),
        sequence_length=None,
        dimensions=transformer.model_dump(mode="json", exclude_unset=True),
    )


def network_document(network: ShippedNetwork) -> ModelDocument:
    """Return one shipped network as the list of models shows it."""
    return ModelDocument(
        name=network.name,
        family=network.family,
        kind="network",
        parameters=network.parameters,
        active_parameters=network.parameters,
        parameters_source=f"traced from {network.definition}",
        sequence_length=None,
        sample=network.sample,
        aliases=network.aliases,
    )


def about(problem: Problem) -> tuple[str, ...]:
    """Return in a line what model was asked about."""
    return (problem.subject.summary(),)


def ratio_document(row: EstimateDocument, first: EstimateDocument) -> RatioDocument:
    """Return an estimate relative to another."""

    def over(own: float | None, other: float | None) -> float | None:
        return own / other if own is not None and other else None

    speed = None
    if row.samples_per_s and first.samples_per_s:
        speed = row.samples_per_s.value / first.samples_per_s.value
    energy = over(
        row.energy_kwh.value if row.energy_kwh else None, first.energy_kwh.value if first.energy_kwh else None
    )
    return RatioDocument(
        gpu=row.gpu,
        count=row.count,
        speed=speed,
        memory=over(row.memory.required_gib.value, first.memory.required_gib.value),
        energy=energy,
        total_cost=over(row.cost.total_usd, first.cost.total_usd),
    )


def pick_document(
    problem: Problem, label: str, row: Ranked, place: int, unverified: str | None
) -> PickDocument:
    """Return an answer that is asked for by name.

    Args:
        problem: what is run.
        label: the name.
        row: the answer.
        place: its place in the ranking.
        unverified: why its purchase price is a guess, None where it is not.
    """
    candidate, whole_job = row.candidate, problem.has_length
    return PickDocument(
        label=label,
        gpu=candidate.device.id,
        name=candidate.device.name,
        count=candidate.count,
        total_time_h=candidate.hours if whole_job else None,
        purchase_usd=candidate.costs.purchase,
        purchase_unverified=unverified,
        rent_usd=candidate.costs.rent if whole_job else None,
        rent_usd_per_h=candidate.rent_usd_per_h,
        rank=place,
    )


def reasons(problem: Problem, row: Ranked, estimate: EstimateDocument) -> tuple[str, ...]:
    """Return in words what speaks for an answer."""
    found = []
    plan = estimate.plan
    how = f"micro-batch {plan.micro_batch} in {plan.precision}"
    if plan.checkpointing != "none":
        how += f", {plan.checkpointing} checkpointing"
    if plan.sharding.strategy != "none":
        how += f", {plan.sharding.strategy} over {plan.sharding.data}"
    if plan.sharding.tensor * plan.sharding.pipeline > 1:
        how += f", tensor {plan.sharding.tensor}, pipeline {plan.sharding.pipeline}"
    if problem.subject.steps is None:
        found.append(how)
    if row.way == "rent" and estimate.cost.rent_usd is not None:
        rate = estimate.cost.rent_usd_per_gpu_h
        found.append(
            f"renting costs {format_money(estimate.cost.rent_usd)} at {format_money(rate)} a GPU and hour"
        )
    elif row.way == "buy" and estimate.cost.owned_usd is not None:
        found.append(
            f"buying costs {format_money(estimate.cost.purchase_usd)}{_doubt(estimate.cost)}; "
            f"this job's share with power is {format_money(estimate.cost.owned_usd)}"
        )
    if estimate.cost.break_even_h is not None:
        found.append(f"buying pays after {estimate.cost.break_even_h:,.0f} h of use instead of renting")
    if row.pareto:
        found.append("no other answer is both faster and cheaper")
    if estimate.bottleneck:
        found.append(f"limited by {estimate.bottleneck}")
    return tuple(found)


def _doubt(cost: CostDocument) -> str:
    return f" ({cost.purchase_unverified})" if cost.purchase_unverified else ""


def stored_document(
    stored: StoredProfile, device: str | None, cautions: Sequence[str]
) -> StoredCalibrationDocument:
    """Return a profile as it is listed.

    Args:
        stored: the profile.
        device: id of the device for which it counts, None where another one does.
        cautions: what to say of it.
    """
    profile = stored.profile
    return StoredCalibrationDocument(
        name=stored.name,
        file=str(stored.path),
        device=profile.device.name,
        gpu=device or profile.device.gpu,
        date=profile.date,
        mode=profile.mode,
        complete=profile.complete,
        tests=len(profile.tests),
        collectives=len(profile.collectives),
        torch=profile.software.torch,
        driver=profile.software.driver,
        used=device is not None,
        cautions=tuple(cautions),
    )


def factor_documents(calibration: DeviceCalibration) -> tuple[CalibrationFactorDocument, ...]:
    """Return the factors of a calibration, those of whole steps first."""
    found = [(f"whole steps, {key}", factor) for key, factor in calibration.step.items()]
    found += sorted(calibration.pace.items())
    for kind, starts in calibration.starting.items():
        found += [
            (f"starting kernels of {kind}s, {name}", value) for name, value in starts.model_dump().items()
        ]
    return tuple(CalibrationFactorDocument(what=what, factor=factor) for what, factor in found)
