"""Words for how a job runs: the layout of GPUs, the plan, and the constants of efficiency that estimates read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from advisor.operators import Kind
from advisor.quantity import Model
from advisor.workload import Checkpointing, Precision

Strategy = Literal["none", "ddp", "zero1", "zero2", "fsdp"]

CHECKPOINTING: tuple[Checkpointing, ...] = ("none", "selective", "full")
"""Order of the checkpointing axis in every array of the plan search."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How ``count`` GPUs share the work: ``data * tensor * pipeline == count``."""

    count: int
    strategy: Strategy
    data: int = 1
    tensor: int = 1
    pipeline: int = 1

    @property
    def shards(self) -> int:
        """GPUs over which the strategy divides the state of one model replica."""
        return self.data if self.strategy in ("zero1", "zero2", "fsdp") else 1


class Sourced(Model):
    """A constant with the evidence for it."""

    value: float
    source: str


class MatrixConstants(Model):
    """How close matrix products of one architecture come to their dense peak.

    ``tensor`` and ``vector`` are shares of the peak that large products reach at the boost clock. A card with fewer
    watts for each TFLOP/s of peak than ``*_watts_per_tflops`` does not hold that clock: its rate falls with the power
    ``sustained_exponent`` of the ratio. ``eight_bit`` and ``four_bit`` are the further loss of narrower formats.
    """

    tensor: float = Field(gt=0, le=1)
    vector: float = Field(gt=0, le=1)
    tensor_watts_per_tflops: float = Field(ge=0)
    vector_watts_per_tflops: float = Field(ge=0)
    eight_bit: float = Field(gt=0, le=1)
    four_bit: float = Field(gt=0, le=1)


class ArchitectureConstants(Model):
    """Efficiency of one architecture generation."""

    architectures: tuple[str, ...]
    """``vendor/architecture`` or ``vendor/architecture/compute capability``; the most specific match counts."""
    matrix: MatrixConstants
    bandwidth: float = Field(gt=0, le=1)
    """Share of the datasheet bandwidth that streaming kernels reach."""
    attention_forward: float = Field(gt=0, le=1)
    """Share of the matrix rate that fused attention reaches with long sequences."""
    attention_backward: float = Field(gt=0, le=1)
    kernel_us: float = Field(gt=0)
    """What a kernel takes on the device beside its work: to start, to fill and to drain."""
    launch_us: float = Field(gt=0)
    """Time that the host needs to start one kernel from eager PyTorch."""
    fused_attention: bool
    """A fused attention kernel exists in current PyTorch."""
    context_mib: float = Field(ge=0)
    """Device memory that a process holds before its first tensor, with the libraries' workspaces."""
    reserved_fraction: float = Field(ge=0, lt=0.3)
    reserved_mib: float = Field(ge=0)
    """What the driver keeps of the memory that it reports: a part and a fixed amount."""
    spread: float = Field(ge=1)
    """Further multiplicative 80 % spread of times where nothing is published on this generation, else 1."""
    support: Literal["current", "legacy", "partial"]
    """Whether today's training software runs: with current wheels, with older ones only, or with gaps."""
    source: str


class KernelConstants(Model):
    """Tiles and waves of matrix products, shared by all architectures."""

    tiles: tuple[tuple[int, int, float], ...]
    """(rows, columns, share of the peak rate that a full wave of such tiles reaches)."""
    splits: tuple[int, ...]
    prologue_depth: float
    """Length along K that a tile's start and end cost."""
    convolution_prologue_depth: float
    """The same in a convolution, whose tiles follow one another in one kernel."""
    split_overhead: float = Field(ge=0)
    """Share of the time that adding up the partial sums of a split along K costs."""
    attention_half_length: float
    """Keys at which fused attention reaches half of its rate."""
    cache_share: float
    cache_speedup: float
    """A kernel whose tensors fit this share of the L2 streams faster by this factor."""
    sustained_exponent: float
    bandwidth: Mapping[str, Annotated[float, Field(gt=0, le=1)]]
    """Share of the sustained bandwidth that a kind of operator reaches; 1 for kinds that are not named."""
    grouped_padding: float = Field(ge=0, le=1)
    """Where the work of a grouped convolution lies between its own operations (0) and those of full tiles (1)."""
    tf32_rate: float = Field(gt=0, le=1)
    """Share of its peak that TF32 reaches over that of 16 bits: its operands are twice as long."""
    rate: Mapping[str, Annotated[float, Field(gt=0, le=1)]]
    """Share of the rate of a plain matrix product that a kind of product reaches; 1 for kinds that are not named."""
    source: str


class TracedConstants(Model):
    """Operators of traced networks that transformers do not have, shared by all architectures."""

    wide_group: float = Field(gt=0)
    """Channels of a group from which weight gradients of grouped convolutions on NHWC tensors have no good kernel."""
    wide_group_rate: float = Field(gt=0, le=1)
    """Share of the rate of other grouped convolutions that it then reaches."""

    layout_copies: float = Field(ge=0, le=4)
    """Times that the tensors of a convolution on tensor cores are copied where they lie in NCHW."""
    compiled_pointwise: float = Field(gt=0, le=1)
    """Share of the traffic of pointwise operators that a compiler, or a tuned trainer's fused kernels, leave."""
    batch_norm_forward: float = Field(ge=1)
    batch_norm_backward: float = Field(ge=1)
    """How much longer a batch norm takes in training than its traffic: its statistics come from two more kernels."""
    one_dimensional_rate: float = Field(gt=0, le=1)
    """Share of the rate of other convolutions that those over sequences reach, which libraries tune less."""
    winograd: float = Field(ge=1, le=2.25)
    """How much faster than its multiplications a 3x3 convolution runs in fp32 (Lavin and Gray 2016: at most 2.25)."""
    source: str


class NetworkConstants(Model):
    """What links really carry, and how much of it hides behind computation."""

    nvlink_share: float = Field(gt=0, le=1)
    pcie_share: float = Field(gt=0, le=1)
    pcie_staged_share: float = Field(gt=0, le=1)
    """Share of PCIe bandwidth of a pair whose transfers go through the host (consumer cards without peer access).

    Both shares are for two cards; more share the host's root complex.
    """
    pcie_lane_gb_s: Mapping[str, float]
    """One-way bandwidth of one lane by PCIe generation."""
    node_gb_s: Mapping[str, float]
    """Inter-node bandwidth of one GPU by segment, one way; of datacenter GPUs by PCIe generation, as of their cards."""
    node_share: float = Field(gt=0, le=1)
    """Share of it that collectives reach."""
    latency_us: float = Field(gt=0)
    node_latency_us: float = Field(gt=0)
    overlap_data: float = Field(ge=0, le=1)
    """Share of gradient reduction that hides behind backward."""
    overlap_shards: float = Field(ge=0, le=1)
    overlap_tensor: float = Field(ge=0, le=1)
    source: str


class MemoryConstants(Model):
    """What lies between the sum of the tensors and what the device must offer."""

    fragmentation: float = Field(ge=0, lt=0.5)
    """Reserved but unusable part of activations and temporaries."""
    rotary_slack: float = Field(ge=1, le=1.5)
    """What models with rotary positions keep beside the tensors of their description, where no kernels are fused."""
    collective_mib: float = Field(ge=0)
    """Buffers of one communicator: of data, tensor or pipeline parallelism."""
    loading_mib: float = Field(ge=0)
    """What loading and preparing a frozen base leaves unusable in the allocator's pool."""
    convolution_workspace: float = Field(ge=0, le=2)
    """Share of input and output of the largest convolution that its algorithm holds once more."""
    margin: float = Field(ge=0, lt=0.2)
    """Share of all that a plan needs that is kept free."""
    safety: float = Field(ge=1)
    """How many times activations, temporaries and overhead must find room for a plan to be called fitting."""
    spread: float = Field(ge=1)
    """Multiplicative 80 % spread of activations, temporaries and overhead, beside that of the whole."""
    traced_spread: float = Field(ge=1)
    """The same where a network was traced, so that every tensor is known."""
    whole_spread: float = Field(ge=1)
    """Multiplicative 80 % spread of all parts: what a trainer holds that is not known of it."""
    source: str


class PowerConstants(Model):
    """Average draw of a busy GPU as a share of its TDP."""

    idle: float = Field(ge=0, le=1)
    matrix_bound: float = Field(gt=0, le=1.1)
    memory_bound: float = Field(gt=0, le=1.1)
    spread: float = Field(ge=1)
    source: str


class SoftwareAge(Model):
    """How software of one age and framework differs from current PyTorch; every factor of current PyTorch is 1."""

    before: str | None = None
    """First version that is no longer of this age; None for the newest age."""
    launch: float = Field(default=1.0, gt=0)
    """Time of the host for a launch."""
    convolution_half: float = Field(default=1.0, gt=0)
    """Rate of convolutions in 16 bits: libraries learn to use tensor cores better."""
    convolution_full: float = Field(default=1.0, gt=0)
    """Rate of convolutions in fp32 and TF32."""
    streaming: float = Field(default=1.0, gt=0)
    """Speed of what streams memory: fused kernels read and write less."""
    saved_activations: float = Field(default=1.0, gt=0)
    """What transformers keep from forward to backward: chains of small operators keep their steps."""
    zeroes_gradients: bool = False
    """Gradients are set to zero between steps, where current software frees them."""


class SoftwareConstants(Model):
    """What framework and trainer add to or take from the time of the kernels.

    The host starts kernels while the device runs earlier ones, but in parts of a step one waits for the other, so times
    ``d`` and ``h`` of device and host combine to ``(d**p + h**p) ** (1 / p)`` with ``p = overlap_exponent``.
    """

    common_overhead: float = Field(ge=1)
    tuned_overhead: float = Field(ge=1)
    forward_launch: float = Field(ge=1)
    """Time to start a kernel of the forward pass, in those of bare C++: Python, modules, the graph of autograd."""
    inference_launch: float = Field(gt=0)
    """The same without a graph of autograd."""
    backward_launch: float = Field(gt=0)
    optimizer_launch: float = Field(gt=0)
    tuned_launch: float = Field(gt=0, le=1)
    """What a tuned trainer leaves of all three, with fused modules and recorded graphs."""
    compiled_launch: float = Field(gt=0, le=1)
    """What a compiler leaves of all three."""
    overlap_exponent: float = Field(ge=1)
    ages: Mapping[str, tuple[SoftwareAge, ...]]
    """By framework, the oldest first."""
    source: str

    def age(self, framework: str, version: str | None) -> SoftwareAge:
        """Return the age of a version, the newest where none is given; frameworks that are not listed are current."""
        ages = self.ages.get(framework.lower(), (SoftwareAge(),))
        if version is not None:
            own = version_key(version)
            for age in ages:
                if age.before is not None and own < version_key(age.before):
                    return age
        return ages[-1]


def version_key(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version, to compare it by; missing ones are 0."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in found.group().split(".")] if found else []
    return tuple([*numbers, 0, 0, 0][:3])


Evidence = Literal["both", "gpu", "family", "neither"]
"""What published runs the constants rest on: some on this GPU and some of this family of models, one, or neither."""


class MeasuredSpread(Model):
    """Multiplicative 80 % spreads of times, as held-out published runs show them, by what the constants had seen."""

    subject: Literal["transformer", "network"]
    task: Literal["training", "inference"]
    gpus: Literal["one", "node", "nodes"]
    """One GPU, 2 to 8, or more."""
    both: float = Field(ge=1)
    gpu: float = Field(ge=1)
    family: float = Field(ge=1)
    neither: float = Field(ge=1)
    runs: int = Field(ge=0)
    """Published runs behind the spreads; 0 for a prior."""


class IntervalConstants(Model):
    """Multiplicative 80 % spreads of times."""

    measured: tuple[MeasuredSpread, ...]
    mixture_of_experts: float = Field(ge=1)
    """A further spread, combined as an independent error: few such runs are published."""
    gpus: tuple[str, ...]
    """GPUs with published runs."""
    families: tuple[str, ...]
    """Families of networks, and kinds of transformers, with published runs."""
    source: str

    def spread(self, subject: str, task: str, gpus: str, evidence: Evidence) -> float:
        """Return the spread of a kind of job.

        Raises:
            KeyError: the constants have no such kind.
        """
        for each in self.measured:
            if (each.subject, each.task, each.gpus) == (subject, task, gpus):
                return float(getattr(each, evidence))
        raise KeyError((subject, task, gpus))


class BaselineConstants(Model):
    """The processor that GPUs are measured against where the user names none."""

    cpu: str
    source: str


class RankingConstants(Model):
    """Factors on the time of an answer, for ranking only, where its platform asks more of the user."""

    legacy: float = Field(ge=1)
    partial: float = Field(ge=1)
    source: str


class TreeConstants(Model):
    """What growing trees costs one library on one kind of device.

    Work is counted in cycles of one multiprocessor of a GPU or one core of a CPU, which all share it: published times
    on five generations scale with their number and clock, not with memory bandwidth.
    """

    start_s: float = Field(ge=0)
    """Before the first tree: context, compilation of kernels, threads."""
    split_us: float = Field(ge=0)
    """Latency of one sequential step: of a node (XGBoost, LightGBM), of a level (CatBoost, forests)."""
    row_cycles: float = Field(ge=0)
    """To move one row to its child, its gradient included."""
    value_cycles: float = Field(gt=0)
    """To add one row to the bin of one feature, with 256 bins."""
    bin_exponent: float = Field(default=0.0, ge=0, le=1)
    """Fewer bins are faster by this power of their number."""
    spill_exponent: float = Field(default=0.0, ge=0, le=1)
    """Cycles grow by this power of the rows over a million, as gradients and positions leave the caches."""
    host_row_ns: float = Field(default=0.0, ge=0)
    """What the host does for one row and level while the device waits."""
    binning_cycles: float = Field(ge=0)
    """To find the bin of one value, once."""
    row_bytes: float = Field(ge=0)
    """Memory of one row beside its bins: gradients, positions, predictions, label."""
    least_leaf_rows: float = Field(gt=0)
    """Rows in the smallest leaf that the library's defaults allow."""
    spread: float = Field(ge=1)
    source: str


class ProductConstants(Model):
    """What learners made of matrix products cost one library on one kind of device."""

    start_s: float = Field(ge=0)
    pass_us: float = Field(ge=0)
    """Latency of one pass over the data beside its kernels."""
    product_share: float = Field(gt=0, le=1)
    """Share of the rate of a plain matrix product that the library's own reaches."""
    selection_cycles: float = Field(ge=0)
    """Cycles of one multiprocessor or core to look at one distance when the nearest are kept."""
    spread: float = Field(ge=1)
    source: str


class SvmConstants(Model):
    """What sequential minimal optimisation costs on one kind of device."""

    start_s: float = Field(ge=0)
    iterations_per_support_vector: float = Field(gt=0)
    iteration_us: float = Field(ge=0)
    """Latency of one iteration: choosing the pair and updating its multipliers."""
    value_cycles: float = Field(ge=0)
    """To multiply one value of a kernel row on a single core; 0 where kernel rows are matrix products."""
    row_cycles: float = Field(ge=0)
    """To update the gradient of one row, and to look at it when the pair is chosen."""
    kernel_rows_kept: float = Field(ge=0, lt=1)
    """Kernel rows found in the cache, not computed."""
    working_set: int = Field(ge=2)
    """Rows whose kernel rows are computed together."""
    units: int = Field(ge=0)
    """Cores that one problem uses; 0: all."""
    spread: float = Field(ge=1)
    source: str


DeviceSide = Literal["gpu", "cpu"]


class LearnerConstants(Model):
    """Costs of learners that are not networks, by library or kind of learner and by kind of device."""

    host_copy_gb_s: float = Field(gt=0)
    """Rate at which ordinary (pageable) host memory reaches the device."""
    vendors: Mapping[str, tuple[str, ...]]
    """Vendors on whose GPUs a library trains."""
    least_capability: Mapping[str, str]
    """Least CUDA compute capability of current releases, where there is one."""
    trees: Mapping[str, Mapping[DeviceSide, TreeConstants]]
    products: Mapping[str, Mapping[DeviceSide, ProductConstants]]
    svm: Mapping[DeviceSide, SvmConstants]
    source: str


SubjectKind = Literal["transformer", "network"]

PRODUCT_KINDS = frozenset(
    {Kind.GEMM, Kind.BATCHED_GEMM, Kind.CONVOLUTION, Kind.GROUPED_CONVOLUTION, Kind.DEPTHWISE_CONVOLUTION,
     Kind.ATTENTION, Kind.RECURRENT}
)  # fmt: skip
"""Kinds whose pace depends on the precision."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """Kinds of whole steps that differ in how far they are from the sum of their operators."""

    subject: SubjectKind
    nhwc: bool = False

    def keys(self, precision: Precision) -> tuple[str, str, str]:
        """Return the names under which a calibration may know this kind of step, the most exact one first."""
        formats = "half" if precision in ("fp16", "bf16") else precision
        layout = "nhwc" if self.nhwc else "nchw"
        return f"{self.subject} {formats} {layout}", f"{self.subject} {formats}", self.subject


def pace_key(kind: Kind, backward: bool, precision: Precision) -> str:
    """Return the name of a pace: ``gemm backward half``, or ``norm forward`` where the precision does not matter."""
    phase = f"{kind.label} {'backward' if backward else 'forward'}"
    if kind not in PRODUCT_KINDS:
        return phase
    return f"{phase} {'half' if precision in ('fp16', 'bf16') else precision}"


class StartFactors(Model):
    """Factors on what starting kernels takes."""

    kernel: float = Field(default=1.0, gt=0)
    """On the device, beside the kernels' work."""
    forward: float = Field(default=1.0, gt=0)
    """On the host, in the forward pass."""
    backward: float = Field(default=1.0, gt=0)
    optimizer: float = Field(default=1.0, gt=0)


class MeasuredLink(Model):
    """What one GPU's links were measured to carry in collectives."""

    bandwidth_gb_s: float = Field(gt=0)
    """One way, where :attr:`gpus` GPUs take part."""
    latency_us: float = Field(ge=0)
    gpus: int = Field(ge=2)


class DeviceCalibration(Model):
    """What a calibration says of one device: factors on what the shipped constants predict for it.

    A relative's device is calibrated by a power below 1 of the same factors.
    """

    profile: str
    """Name of the profile behind it."""
    date: str
    measured: str
    """The device that was measured, for people."""
    torch: str
    """Version that it was measured with."""
    relation: Literal["this GPU", "this processor", "same architecture", "same vendor"]
    weight: float = Field(gt=0, le=1)
    """Power of the measured factors that counts for this device; 1 for the one that was measured."""
    pace: Mapping[str, Annotated[float, Field(gt=0)]] = {}
    """Factors on the time of kernels by :func:`pace_key`."""
    step: Mapping[str, Annotated[float, Field(gt=0)]] = {}
    """What remains between whole steps and the sum of their operators, by :meth:`StepKind.keys`."""
    starting: Mapping[SubjectKind, StartFactors] = {}
    """What starting kernels takes, by what is run: a description by dimensions counts fewer kernels than a trace."""
    context_mib: float | None = Field(default=None, ge=0)
    total_mib: float | None = Field(default=None, gt=0)
    """What the driver reports as total memory."""
    idle_w: float | None = Field(default=None, ge=0)
    matrix_w: float | None = Field(default=None, gt=0)
    memory_w: float | None = Field(default=None, gt=0)
    """Draw when idle, under products, and under kernels that stream memory."""
    inside: MeasuredLink | None = None
    between: MeasuredLink | None = None
    """Links within a node and between nodes."""
    spread: Mapping[SubjectKind, Annotated[float, Field(ge=1)]] = {}
    """Multiplicative 80 % spread of times on one device that takes the place of the shipped one."""
    warnings: tuple[str, ...] = ()

    def starts(self, subject: SubjectKind) -> StartFactors:
        """Return the factors on starting kernels; those of the other kind of model where its own were not measured."""
        return self.starting.get(subject) or next(iter(self.starting.values()), StartFactors())

    def step_of(self, kind: StepKind, precision: Precision) -> float:
        """Return the factor on the kernels of whole steps of a kind, 1 where none like it were measured."""
        return next((self.step[key] for key in kind.keys(precision) if key in self.step), 1.0)

    def pace_of(self, kind: Kind, backward: bool, precision: Precision) -> float:
        """Return the pace of a kind of operator; that of plain products where a product's own was not measured."""
        own = self.pace.get(pace_key(kind, backward, precision))
        if own is None and kind in PRODUCT_KINDS:
            own = self.pace.get(pace_key(Kind.GEMM, backward, precision))
        return 1.0 if own is None else own


NOT_CALIBRATED = DeviceCalibration(
    profile="none", date="never", measured="nothing", torch="none", relation="this GPU", weight=1.0
)
"""Leaves everything as the shipped constants say."""


class Shrinkage(Model):
    """Power of a device's measured factors that counts for its relatives."""

    architecture: float = Field(ge=0, le=1)
    """For devices of the same architecture."""
    vendor: float = Field(ge=0, le=1)
    """For other devices of the same vendor."""


class CalibrationConstants(Model):
    """How far a calibration of one device counts, for it and for others."""

    published: Shrinkage
    """For relatives whose constants rest on published runs of their architecture."""
    prior: Shrinkage
    """For relatives whose constants rest on none."""
    spread: float = Field(ge=1)
    """Multiplicative 80 % spread of times on the device itself."""
    device_share: float = Field(ge=0, le=1)
    """Share of the variance of shipped errors that a factor of the device explains; the rest stays."""
    prior_tests: float = Field(gt=0)
    """How many tests the shipped constants count as, beside those that were run."""
    stale_days: int = Field(gt=0)
    source: str


class Constants(Model):
    """Everything in ``efficiency.yaml``, and the calibrations of the machine."""

    date: str
    architectures: tuple[ArchitectureConstants, ...]
    kernel: KernelConstants
    traced: TracedConstants
    network: NetworkConstants
    memory: MemoryConstants
    power: PowerConstants
    software: SoftwareConstants
    intervals: IntervalConstants
    ranking: RankingConstants
    baseline: BaselineConstants
    learners: LearnerConstants
    calibration: CalibrationConstants
    calibrations: Mapping[str, DeviceCalibration] = {}
    """By device id; no part of the file."""

    def of(self, vendor: str, architecture: str, compute_capability: str | None) -> ArchitectureConstants:
        """Return the constants of an architecture; an entry for the compute capability goes first.

        Raises:
            KeyError: no entry covers the architecture.
        """
        names = (f"{vendor}/{architecture}/{compute_capability}", f"{vendor}/{architecture}", vendor)
        for name in names:
            for entry in self.architectures:
                if name in entry.architectures:
                    return entry
        raise KeyError(names[1])
