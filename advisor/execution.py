"""Words for how a job runs: the layout of GPUs, the plan, and the constants of efficiency that estimates read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from advisor.quantity import Model
from advisor.workload import Checkpointing

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
    """Shortest time of a kernel on the device."""
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
    """Multiplicative 80 % spread of times on a GPU of this generation."""
    support: Literal["current", "legacy", "partial"]
    """Whether today's training software runs: with current wheels, with older ones only, or with gaps."""
    support_note: str | None = None
    source: str


class KernelConstants(Model):
    """Tiles and waves of matrix products, shared by all architectures."""

    tiles: tuple[tuple[int, int, float], ...]
    """(rows, columns, share of the peak rate that a full wave of such tiles reaches)."""
    splits: tuple[int, ...]
    prologue_depth: float
    """Length along K that a tile's start and end cost."""
    split_overhead: float = Field(ge=0)
    """Share of the time that adding up the partial sums of a split along K costs."""
    attention_half_length: float
    """Keys at which fused attention reaches half of its rate."""
    cache_share: float
    cache_speedup: float
    """A kernel whose tensors fit this share of the L2 streams faster by this factor."""
    sustained_exponent: float
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
    activation_slack: float = Field(ge=1, le=1.5)
    """What models keep beside the tensors that the description lists."""
    collective_mib: float = Field(ge=0)
    margin: float = Field(ge=0, lt=0.2)
    spread: float = Field(ge=1)
    source: str


class PowerConstants(Model):
    """Average draw of a busy GPU as a share of its TDP."""

    idle: float = Field(ge=0, le=1)
    matrix_bound: float = Field(gt=0, le=1.1)
    memory_bound: float = Field(gt=0, le=1.1)
    spread: float = Field(ge=1)
    source: str


class SoftwareConstants(Model):
    """What the trainer adds to or takes from the time of the kernels."""

    common_overhead: float = Field(ge=1)
    tuned_overhead: float = Field(ge=1)
    common_launch: float = Field(ge=1)
    """How much longer a common trainer's Python takes to start a kernel than bare eager code."""
    compiled_launch: float = Field(gt=0, le=1)
    source: str


class IntervalConstants(Model):
    """Further multiplicative 80 % spreads of times, combined with that of the architecture as independent errors."""

    workload: float = Field(ge=1)
    several_gpus: float = Field(ge=1)
    several_nodes: float = Field(ge=1)
    mixture_of_experts: float = Field(ge=1)
    inference: float = Field(ge=1)
    source: str


class RankingConstants(Model):
    """Factors on the time of an answer, for ranking only, where its platform asks more of the user."""

    legacy: float = Field(ge=1)
    partial: float = Field(ge=1)
    source: str


class Constants(Model):
    """Everything in ``efficiency.yaml``."""

    date: str
    architectures: tuple[ArchitectureConstants, ...]
    kernel: KernelConstants
    network: NetworkConstants
    memory: MemoryConstants
    power: PowerConstants
    software: SoftwareConstants
    intervals: IntervalConstants
    ranking: RankingConstants

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
