"""The document of a fleet: several workloads, how often each runs, and what holds for all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from advisor.errors import InputError
from advisor.paths import given_path, is_file
from advisor.quantity import Model
from advisor.units import WEEKS_PER_YEAR
from advisor.workload import Constraints, Economics, Way, Workload
from advisor.workload_file import build_workload, read_workload
from advisor.yaml_io import locate, parse, read_text, validate

MONTHS_PER_YEAR = 12

Name = Annotated[str, Field(min_length=1, max_length=100)]
Rate = Annotated[float, Field(ge=1e-6, le=1e9)]

RATES = ("runs_per_week", "runs_per_month", "runs_per_year", "runs", "requests_per_s")
_SUFFIXES = (".yaml", ".yml", ".json")


class FleetEntry(Model):
    """One workload of a fleet, and how often it runs: exactly one of the rates."""

    name: Name | None = None
    workload: Annotated[str, Field(min_length=1)] | Mapping[str, Any]
    """A workload document, the path of one (relative to the fleet's file), or the name of a shipped model."""
    runs_per_week: Rate | None = None
    runs_per_month: Rate | None = None
    runs_per_year: Rate | None = None
    runs: Rate | None = None
    """In the whole horizon."""
    requests_per_s: Rate | None = None
    """Of a served model: what the fleet must keep up with in each of ``hours_per_week``."""
    hours_per_week: Annotated[float, Field(ge=1e-3, le=168)] | None = None
    """In which a model is served; all 168 when left out."""
    deadline_h: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    """Of each run, from its start."""
    acquire: Annotated[tuple[Way, ...], Field(min_length=1)] | None = None
    """Replaces what workload and fleet allow."""

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        given = [name for name in RATES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(RATES)}; got {', '.join(given) if given else 'none'}"
            )
        served = self.requests_per_s is not None
        if self.hours_per_week is not None and not served:
            raise ValueError("hours_per_week is for served models (requests_per_s)")
        if self.deadline_h is not None and served:
            raise ValueError("deadline_h is for runs; a served model keeps up with requests_per_s")
        return self


class FleetFile(Model):
    """What the user writes: the document that ``schema fleet`` publishes."""

    name: Name | None = None
    workloads: Annotated[tuple[FleetEntry, ...], Field(min_length=1, max_length=50)]
    constraints: Constraints = Constraints()
    """Budget and power are those of the whole fleet; ``max_count`` is GPUs in one job; ``deadline_h`` is that of
    every run whose own is not given."""
    economics: Economics = Economics()
    """The machines around bought cards count (``host_usd_per_gpu: auto``) unless the document says otherwise."""
    utilisation: Annotated[float, Field(ge=1e-3, le=1)] | None = None
    """Largest share of a week that bought GPUs may be planned busy."""
    cautious: bool = False
    """Plan with the upper end of times instead of the value."""


@dataclass(frozen=True, slots=True)
class FleetJob:
    """A workload of a fleet with everything that holds for it.

    ``workload`` has the fleet's economics and the filters of both; its budget and power limit are left to the fleet.
    """

    name: str
    workload: Workload
    runs_per_year: float | None
    requests_per_s: float | None
    hours_per_week: float
    """In which a model is served."""
    field: str
    """Where it stands in the document."""
    source: str
    line: int | None

    @property
    def deadline_h(self) -> float | None:
        """Of each run."""
        return None if self.runs_per_year is None else self.workload.constraints.deadline_h

    @property
    def acquire(self) -> tuple[Way, ...]:
        """The ways in which hardware for it may be had."""
        return self.workload.constraints.acquire

    def blamed(self, error: InputError) -> InputError:
        """Return an error about this workload with its place in the fleet's document."""
        found = error.located(source=self.source, line=self.line)
        if found.source == self.source:
            found.field = ".".join(part for part in (self.field, "workload", error.field) if part)
        return found


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet's document, resolved."""

    name: str | None
    jobs: tuple[FleetJob, ...]
    constraints: Constraints
    economics: Economics
    utilisation: float | None
    """None where the user leaves it open."""
    cautious: bool
    notes: tuple[str, ...]
    """What of the workloads' own documents does not count in a fleet."""


def read_fleet(source: str) -> Fleet:
    """Return the fleet of a YAML or JSON file.

    Args:
        source: its path.

    Raises:
        InputError: the document, or that of one of its workloads, is wrong; says where.
        ExternalError: a file cannot be read.
    """
    path = given_path(source)
    return build_fleet(read_text(path), source, folder=path.parent)


def build_fleet(text: str, source: str, *, folder: Path = Path()) -> Fleet:
    """Return the fleet of a document.

    Args:
        text: YAML, or JSON where the source ends in ``.json``.
        source: its origin, for errors.
        folder: what paths in the document are relative to.

    Raises:
        InputError: the document, or that of one of its workloads, is wrong; says where.
        ExternalError: the file of a workload cannot be read.
    """
    document = validate(FleetFile, parse(text, source), source, text)
    if "hours_per_week" in document.economics.model_fields_set:
        raise InputError(
            "the hours of use of a fleet follow from its workloads; leave this field out",
            source=source,
            line=locate(text, ("economics", "hours_per_week")),
            field="economics.hours_per_week",
            value=document.economics.hours_per_week,
        )
    if "host_usd_per_gpu" not in document.economics.model_fields_set:
        economics = document.economics.model_copy(update={"host_usd_per_gpu": "auto"})
        document = document.model_copy(update={"economics": economics})
    jobs: list[FleetJob] = []
    notes: list[str] = []
    for number, entry in enumerate(document.workloads):
        place = _Place(source, text, folder, number)
        workload = _workload(entry, place)
        name = entry.name or workload.name or _model_name(workload) or f"workload {number + 1}"
        if name in {job.name for job in jobs}:
            raise place.error("two workloads have this name; give each a name of its own", "name", name)
        _check_task(entry, workload, place)
        notes += _set_aside(name, workload, document)
        jobs.append(_job(name, entry, workload, document, place))
    return Fleet(
        name=document.name,
        jobs=tuple(jobs),
        constraints=document.constraints,
        economics=document.economics,
        utilisation=document.utilisation,
        cautious=document.cautious,
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one workload stands."""

    source: str
    text: str
    folder: Path
    number: int

    @property
    def field(self) -> str:
        return f"workloads.{self.number}"

    def line(self, *within: str) -> int | None:
        return locate(self.text, ("workloads", self.number, *within))

    def error(
        self, message: str, field: str, value: object = None, accepted: str | None = None
    ) -> InputError:
        return InputError(
            message, source=self.source, line=self.line(field), field=f"{self.field}.{field}", value=value,
            accepted=accepted,
        )  # fmt: skip


def _workload(entry: FleetEntry, place: _Place) -> Workload:
    given = entry.workload
    if isinstance(given, str) and _is_path(given, place.folder):
        path = place.folder / given_path(given)
        if not is_file(path):
            raise place.error("no such file", "workload", given, "a path relative to the fleet's file")
        return read_workload(str(path))
    return build_workload(given, place.source, place.text, folder=place.folder, at=f"{place.field}.workload")


def _is_path(value: str, folder: Path) -> bool:
    """Tell a file beside the fleet's from the name of a shipped model."""
    if any(separator in value for separator in "/\\") or value.lower().endswith(_SUFFIXES):
        return True
    return is_file(folder / value)


def _model_name(workload: Workload) -> str | None:
    model = workload.model
    return model.name or model.huggingface or model.table


def _check_task(entry: FleetEntry, workload: Workload, place: _Place) -> None:
    if entry.requests_per_s is not None and workload.effective_task != "inference":
        raise place.error(
            "only a served model has requests", "requests_per_s", entry.requests_per_s,
            "task: inference in the workload, or runs_per_week for training",
        )  # fmt: skip


def _set_aside(name: str, workload: Workload, document: FleetFile) -> list[str]:
    found = []
    if workload.host is not None:
        found.append(f"{name}: its host does not count; a fleet is bought with the machines around it")
    if workload.economics not in (Economics(), document.economics):
        found.append(f"{name}: its own economics do not count; those of the fleet hold for all")
    for field in ("budget_usd", "max_power_w", "quoted"):
        if getattr(workload.constraints, field):
            found.append(
                f"{name}: its own constraints.{field} does not count; the limit is that of the fleet"
            )
    return found


def _job(name: str, entry: FleetEntry, workload: Workload, document: FleetFile, place: _Place) -> FleetJob:
    return FleetJob(
        name=name,
        workload=workload.model_copy(
            update={
                "constraints": _together(entry, workload.constraints, document.constraints, place),
                "economics": document.economics,
                "host": None,
            }
        ),
        runs_per_year=_runs_per_year(entry, document.economics.horizon_years),
        requests_per_s=entry.requests_per_s,
        hours_per_week=entry.hours_per_week or 168.0,
        field=place.field,
        source=place.source,
        line=place.line(),
    )


def _runs_per_year(entry: FleetEntry, horizon_years: float) -> float | None:
    if entry.runs_per_week is not None:
        return entry.runs_per_week * WEEKS_PER_YEAR
    if entry.runs_per_month is not None:
        return entry.runs_per_month * MONTHS_PER_YEAR
    return entry.runs / horizon_years if entry.runs is not None else entry.runs_per_year


def _together(entry: FleetEntry, own: Constraints, fleet: Constraints, place: _Place) -> Constraints:
    """Return the constraints under which GPUs for one workload are looked for: its own and the fleet's."""
    least = [limit for limit in (own.min_memory_gib, fleet.min_memory_gib) if limit is not None]
    most = [limit for limit in (own.max_count, fleet.max_count) if limit is not None]
    return Constraints(
        deadline_h=entry.deadline_h or own.deadline_h or fleet.deadline_h,
        max_count=min(most, default=None),
        min_memory_gib=max(least, default=None),
        ecc=own.ecc or fleet.ecc,
        quoted=fleet.quoted,
        vendors=_both(own.vendors, fleet.vendors, "vendors", place),
        segments=_both(own.segments, fleet.segments, "segments", place),
        acquire=entry.acquire or _both(own.acquire, fleet.acquire, "acquire", place),
    )


def _both(own: tuple[Any, ...], fleet: tuple[Any, ...], field: str, place: _Place) -> tuple[Any, ...]:
    """Return what both lists allow; an empty list allows all."""
    if not own or not fleet:
        return own or fleet
    found = tuple(each for each in own if each in fleet)
    if not found:
        raise place.error(
            f"the workload's own constraints.{field} and the fleet's exclude each other", "workload",
            ", ".join(own), ", ".join(fleet),
        )  # fmt: skip
    return found
