"""Calibrations and checks as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.documents import CalibrationsAnswer, CheckAnswer, CheckedDocument, StoredCalibrationDocument
from advisor.profile import CollectiveResult, Profile, SuiteResult, Timing
from advisor.quantity import Model
from advisor.render.table import Column, Page, Writer
from advisor.units import format_seconds, plain

NOT_MEASURED = "-"


def render(answer: Model, page: Page) -> str:
    """Return a profile, a list of profiles or a check as text for a terminal of the width of ``page``.

    Raises:
        TypeError: it is none of these.
    """
    writer = Writer(page)
    if isinstance(answer, Profile):
        _profile(writer, answer)
    elif isinstance(answer, CalibrationsAnswer):
        _calibrations(writer, answer)
    elif isinstance(answer, CheckAnswer):
        _check(writer, answer)
    else:
        raise TypeError(f"no table of calibrations for {type(answer).__name__}")
    return writer.text()


def _profile(writer: Writer, profile: Profile) -> None:
    device, software = profile.device, profile.software
    writer.line((plain(device.name), "bold"), f", {profile.mode} calibration of {profile.date}")
    facts = [
        f"catalog entry {device.gpu}" if device.gpu else "not in the catalog",
        f"{device.memory_mib / 1024:.1f} GiB",
    ]
    if device.power_limit_w is not None:
        facts.append(f"power limit {device.power_limit_w:.0f} W")
    versions = [f"torch {software.torch}", software.runtime, software.driver and f"driver {software.driver}"]
    writer.line(", ".join(facts + [text for text in versions if text]))
    if profile.tests:
        writer.blank()
        _tests(writer, profile.tests)
        writer.line(("* did not settle; times of one batch, per phase; +-: eight in ten repeats", "dim"))
    if profile.transfers:
        writer.heading("Copies between host and device")
        rows = profile.transfers
        writer.grid(
            [
                Column("Direction", [row.direction for row in rows], flexible=True),
                Column("Memory", ["pinned" if row.pinned else "ordinary" for row in rows]),
                Column(
                    "GB/s", [f"{row.size_bytes / row.timing.median_s / 1e9:.1f}" for row in rows], "right"
                ),
            ]
        )
    if profile.collectives:
        writer.heading("Collectives")
        _collectives(writer, profile.collectives)
    _sensors(writer, profile)
    if profile.warnings:
        writer.heading("Warnings")
        writer.bullets(profile.warnings, style="yellow")


def _tests(writer: Writer, tests: Sequence[SuiteResult]) -> None:
    columns = [
        Column("Test", [test.test for test in tests], flexible=True),
        Column("Precision", [f"{test.precision} {test.memory_format}" for test in tests]),
        Column("Batch", [f"{test.batch:,}" for test in tests], "right"),
        Column("Forward", [_timing(test.forward or test.step) for test in tests], "right"),
        Column("Backward", [_timing(test.backward) for test in tests], "right"),
    ]
    extra = [
        Column("Optimizer", [_timing(test.optimizer) for test in tests], "right"),
        Column(
            "W", [NOT_MEASURED if test.power_w is None else f"{test.power_w:.0f}" for test in tests], "right"
        ),
    ]
    writer.grid(columns, extra=extra, under=[test.note or "" for test in tests])


def _timing(timing: Timing | None) -> str:
    if timing is None:
        return NOT_MEASURED
    mark = "" if timing.stable else "*"
    return f"{format_seconds(timing.median_s)} +-{100 * (timing.spread - 1):.0f}%{mark}"


def _collectives(writer: Writer, results: Sequence[CollectiveResult]) -> None:
    writer.grid(
        [
            Column("Operation", [each.operation for each in results], flexible=True),
            Column("Ranks", [f"{each.ranks} on {each.nodes}" for each in results]),
            Column("MiB", [f"{each.size_bytes / 2**20:.3g}" for each in results], "right"),
            Column("Time", [_timing(each.timing) for each in results], "right"),
            Column(
                "GB/s", [f"{each.size_bytes / each.timing.median_s / 1e9:.2f}" for each in results], "right"
            ),
        ]
    )


def _sensors(writer: Writer, profile: Profile) -> None:
    seen = profile.sensors
    facts = [
        ("idle", seen.idle_w, "W"), ("highest draw", seen.highest_w, "W"), ("clock under load", seen.clock_mhz, "MHz"),
        ("highest temperature", seen.highest_c, "C"),
    ]  # fmt: skip
    known = [f"{label} {value:,.0f} {unit}" for label, value, unit in facts if value is not None]
    known += [f"held down by {plain(reason)}" for reason in seen.throttled]
    if known:
        writer.blank()
        writer.line("; ".join(known))


def _calibrations(writer: Writer, answer: CalibrationsAnswer) -> None:
    if answer.profile is not None:
        _profile(writer, answer.profile)
        if answer.factors:
            writer.heading("Measured over predicted by the shipped constants")
            writer.grid(
                [
                    Column("What", [each.what for each in answer.factors], flexible=True),
                    Column("Factor", [f"{each.factor:.2f}" for each in answer.factors], "right"),
                ]
            )
        _cautions(writer, answer.calibrations)
    elif not answer.calibrations:
        writer.line("There is no calibration yet: gpu-advisor calibrate makes one.")
    else:
        rows = answer.calibrations
        writer.grid(
            [
                Column("Name", [row.name for row in rows], flexible=True),
                Column("Date", [row.date for row in rows]),
                Column("Kind", [row.mode if row.complete else f"{row.mode}, unfinished" for row in rows]),
                Column("--gpu", [row.gpu or NOT_MEASURED for row in rows]),
                Column("Used", ["yes" if row.used else "no" for row in rows]),
            ],
            under=[plain(row.device) for row in rows],
        )
        _cautions(writer, rows)
    if answer.messages:
        writer.heading("Notes")
        writer.bullets(answer.messages, style="yellow")


def _cautions(writer: Writer, rows: Sequence[StoredCalibrationDocument]) -> None:
    said = [f"{row.name}: {caution}" for row in rows for caution in row.cautions]
    if said:
        writer.heading("Cautions")
        writer.bullets(said, style="yellow")


def _check(writer: Writer, answer: CheckAnswer) -> None:
    title = answer.workload.get("name") or answer.workload["model"].get("name") or "the workload"
    writer.line(
        (plain(str(title)), "bold"), f" really run on {plain(answer.name)} ({answer.device}), {answer.date}"
    )
    plan = answer.plan
    writer.line(
        f"{plan.precision}, {plan.micro_batch} samples at a time, {plan.gradient_accumulation} times a step; "
        f"{answer.steps} steps measured" + ("" if answer.stable else ", which did not settle")
    )
    writer.blank()
    writer.grid(
        [
            Column("", [figure.what for figure in answer.figures], flexible=True),
            Column("Predicted", [_predicted(figure) for figure in answer.figures], "right"),
            Column("Measured", [_figure(figure.measured, figure.unit) for figure in answer.figures], "right"),
            Column("Error", [_error(figure.error) for figure in answer.figures], "right"),
            Column("Inside", [_inside(figure.inside) for figure in answer.figures]),
        ],
        under=[
            ""
            if figure.without_calibration is None
            else f"{_figure(figure.without_calibration, figure.unit)} without the calibration"
            for figure in answer.figures
        ],
    )
    writer.line(("(a-b): 80 % interval", "dim"))
    if answer.calibration is not None:
        writer.line(f"calibrated by profile {answer.calibration.profile} of {answer.calibration.date}")
    if answer.warnings:
        writer.heading("Warnings")
        writer.bullets(answer.warnings, style="yellow")


def _predicted(figure: CheckedDocument) -> str:
    found = figure.predicted
    if found is None:
        return NOT_MEASURED
    low, high = (_figure(end, figure.unit) for end in (found.low, found.high))
    return f"{_figure(found.value, figure.unit)} ({low}-{high})"


def _figure(value: float, unit: str) -> str:
    return format_seconds(value) if unit == "s" else f"{value:,.4g} {unit}"


def _error(error: float | None) -> str:
    return NOT_MEASURED if error is None else f"{100 * error:+.1f}%"


def _inside(inside: bool | None) -> str:
    return NOT_MEASURED if inside is None else "yes" if inside else "no"
