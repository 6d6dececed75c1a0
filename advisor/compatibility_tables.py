"""Reader of ``catalog/compatibility``: which GPUs software has code for, and what GPUs ask of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from advisor.execution import version_key
from advisor.hardware import Segment, Unverified, Vendor
from advisor.host_facts import OperatingSystem
from advisor.quantity import Model
from advisor.yaml_io import data_root, read_yaml, validate

Topic = Literal[
    "software", "driver", "power", "slots", "cooling", "length", "pcie", "nvlink", "ecc", "licence", "export",
    "display",
]  # fmt: skip
Level = Literal["works", "caution", "blocked"]
Backend = Literal["cuda", "rocm", "mps", "xpu", "hpu", "jetson"]
Machine = Literal["x86", "arm"]

FRAMEWORK_FILES = ("pytorch", "tensorflow", "jax", "mxnet", "caffe")

_Capability = Annotated[str, Field(pattern=r"^\d+\.\d$")]
_Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]


class Fact(Model):
    """Something known, and how."""

    source: Annotated[str, Field(min_length=1)]
    unverified: Unverified | None = None


class Statement(Fact):
    """A fact in a sentence, without capital letter and full stop."""

    text: str


class Build(Fact):
    """One way to install a release, and the GPUs that it holds code for.

    ``code`` names compute capabilities, gfx names or architectures; ``ptx`` capabilities in intermediate code. Both
    stand in one text in the files: ``7.5 8.0 9.0+PTX``. None means not known.
    """

    backend: Backend
    machine: Machine = "x86"
    toolkit: str | None = None
    index: str | None = None
    install: str | None = None
    default: bool = False
    """It is what one gets without asking for an index."""
    code: tuple[str, ...] | None = None
    ptx: tuple[_Capability, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, raw: Any) -> Any:
        code = raw.get("code") if isinstance(raw, dict) else None
        if not isinstance(code, str):
            return raw
        targets = code.split()
        return raw | {
            "code": tuple(target.removesuffix("+PTX") for target in targets),
            "ptx": tuple(target.removesuffix("+PTX") for target in targets if target.endswith("+PTX")),
        }


class Release(Fact):
    """A release of a framework. Builds take source and doubt from it where they have none of their own."""

    version: _Version
    date: str
    builds: tuple[Build, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _inherited(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("builds"), list | tuple):
            return raw
        own = {key: raw[key] for key in ("source", "unverified") if key in raw}
        builds = [
            build if not isinstance(build, dict) or "source" in build else {**own, **build}
            for build in raw["builds"]
        ]
        return raw | {"builds": builds}

    @property
    def number(self) -> tuple[int, ...]:
        """The version for comparison."""
        return version_key(self.version)


class Framework(Model):
    """A framework, its releases from the newest to the oldest."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    install: str
    index: str | None = None
    """Address under which the indexes of builds stand."""
    remark: Statement | None = None
    """What holds on every GPU."""
    elsewhere: Mapping[Backend, Statement] = {}
    """Where to get it for backends of which no builds are listed."""
    releases: tuple[Release, ...] = Field(min_length=1)

    @field_validator("releases")
    @classmethod
    def _newest_first(cls, releases: tuple[Release, ...]) -> tuple[Release, ...]:
        numbers = [release.number for release in releases]
        if numbers != sorted(set(numbers), reverse=True):
            raise ValueError("releases stand from the newest to the oldest, each once")
        return releases


class CodeRule(Fact):
    """Binary compatibility of NVIDIA GPUs: ``apart`` are capabilities that share no code with others."""

    apart: tuple[_Capability, ...]


class ArmGpus(Fact):
    """GPUs beside an ARM processor."""

    gpus: tuple[str, ...]


class StandIn(Fact):
    """A gfx target that can be made to run code of another one."""

    target: str
    runs: str
    how: str


class Toolkit(Fact):
    """A CUDA toolkit, from this version to that of the next entry, and the capabilities it compiles for."""

    version: _Version
    oldest: _Capability
    newest: _Capability


class DriverBranch(Fact):
    """The first or last branch of NVIDIA's driver for a range of capabilities."""

    oldest: _Capability
    newest: _Capability
    branch: int


class Drivers(Model):
    """Branches of NVIDIA's Linux driver. ``needs`` is the oldest by major version of CUDA."""

    needs: Mapping[str, int]
    needs_source: str
    last: tuple[DriverBranch, ...]
    first: tuple[DriverBranch, ...]


class Targets(Model):
    """Content of ``targets.yaml``."""

    code: CodeRule
    arm: ArmGpus
    stand_ins: tuple[StandIn, ...]
    toolkits: tuple[Toolkit, ...]
    drivers: Drivers


class Feature(Fact):
    """Something that NVIDIA GPUs have from a capability on."""

    name: str
    since: _Capability = Field(alias="from")
    expected: bool
    """Training code of today takes it for granted."""


class Remark(Statement):
    """A sentence on the devices, software and systems that meet its conditions; an empty one is always met."""

    topic: Topic
    level: Level
    vendors: tuple[Vendor, ...] = ()
    segments: tuple[Segment, ...] = ()
    architectures: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    since: _Version | None = None
    """From this version of the framework on."""
    operating_systems: tuple[OperatingSystem, ...] = ()


class SoftwareTable(Model):
    """Content of ``software.yaml``."""

    features: tuple[Feature, ...]
    mig_source: str
    remarks: tuple[Remark, ...]


class PowerSupplyRule(Fact):
    """Watts to buy: ``card_factor`` x TDP of all boards + ``rest_w``, rounded up to ``step_w``."""

    card_factor: float = Field(ge=1)
    rest_w: float = Field(gt=0)
    step_w: float = Field(gt=0)
    usual_largest_w: float = Field(gt=0)


class CaseRule(Fact):
    """The usual case of a PC."""

    slots: float = Field(gt=0)


class MachineRule(Fact):
    """The most boards that one machine takes."""

    most: int = Field(ge=1)


class LanesRule(Statement):
    """PCIe lanes that consumer processors have for cards, and how many cards they serve well."""

    processor: int = Field(ge=1)
    cards: int = Field(ge=1)


class Connector(Statement):
    """What to know about power connectors whose description holds ``named``."""

    named: str
    in_desktop: Level
    """How grave it is where the buyer's machine is a desktop."""


class FormRule(Statement):
    """What a form factor other than a card means for a buyer."""

    form_factor: str
    level: Level


class Baseboard(Fact):
    """How many modules a baseboard carries. Entries with ``gpus`` come before those for the whole form factor."""

    form_factor: str
    gpus: tuple[str, ...] = ()
    sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """Multiples of the least, so that just its multiples can be bought."""

    @model_validator(mode="after")
    def _multiples(self) -> Self:
        if any(size % min(self.sizes) for size in self.sizes):
            raise ValueError(f"sizes {self.sizes} are not multiples of the least")
        return self


class CardVersions(Fact):
    """The nearest card to buy by id of what is no card."""

    gpus: Mapping[str, str]


class Bridge(Fact):
    """Cards of which bridges join ``together`` at most."""

    gpus: tuple[str, ...]
    together: int = Field(ge=2)


class OpenCoolers(Statement):
    """From how many cards on open coolers are a trouble."""

    cards: int = Field(ge=2)


class SegmentStatement(Statement):
    """A sentence on cards of some segments."""

    segments: tuple[Segment, ...]


class NoDisplay(Statement):
    """Data-center cards have no display output, but these."""

    except_: tuple[str, ...] = Field(alias="except")


class Licence(Statement):
    """A licence that binds cards whose names hold one of these words."""

    names: tuple[str, ...]


class OptionalEcc(Fact):
    """GPUs whose ECC is a switch in the driver and off at first."""

    gpus: tuple[str, ...]


class ExportRule(Fact):
    """Countries to which exports need a licence; without ``gpus`` it holds for all."""

    countries: tuple[Annotated[str, Field(pattern=r"^[A-Z]{2}$")], ...]
    gpus: tuple[str, ...]
    since: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]


class HostTables(Model):
    """Content of ``host.yaml``."""

    power_supply: PowerSupplyRule
    case: CaseRule
    boards_per_machine: MachineRule
    lanes: LanesRule
    connectors: tuple[Connector, ...]
    forms: tuple[FormRule, ...]
    baseboards: tuple[Baseboard, ...]
    card_versions: CardVersions
    bridges: tuple[Bridge, ...]
    passive: Statement
    open_coolers: OpenCoolers
    above_4g: SegmentStatement
    no_display: NoDisplay
    licence: Licence
    optional_ecc: OptionalEcc
    export: tuple[ExportRule, ...]
    export_text: str


class Lengths(Model):
    """Content of ``lengths.yaml``: length of vendors' own cards in mm, by id."""

    source: str
    remembered_source: str
    lengths_mm: Mapping[str, Annotated[float, Field(gt=0, lt=600)]]
    remembered: Mapping[str, Annotated[float, Field(gt=0, lt=600)]]


class CompatibilityTables(Model):
    """All tables."""

    frameworks: tuple[Framework, ...]
    targets: Targets
    software: SoftwareTable
    host: HostTables
    lengths: Lengths


@lru_cache(maxsize=2)
def load_compatibility(root: Path | None = None) -> CompatibilityTables:
    """Return the tables.

    Args:
        root: the catalog folder; the shipped one when left out.

    Raises:
        InputError: a file is wrong.
    """
    folder = (root or data_root()) / "compatibility"

    def read(name: str, model: type[Model]) -> Any:
        path = folder / f"{name}.yaml"
        return validate(model, read_yaml(path), str(path))

    return CompatibilityTables(
        frameworks=tuple(read(name, Framework) for name in FRAMEWORK_FILES),
        targets=read("targets", Targets),
        software=read("software", SoftwareTable),
        host=read("host", HostTables),
        lengths=read("lengths", Lengths),
    )
