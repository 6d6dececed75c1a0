"""Reads published trainings of transformers, finds those near to a question, and says how near they are.

A measurement is one published run (or the median of equal runs) with everything that fixes its workload. Its
throughput is that of all GPUs together, its memory that of the fullest GPU. Nothing here was measured by this
project.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from advisor.errors import InputError
from advisor.evidence.shared import Near, doublings, newest_first, related, software_document
from advisor.hardware import Device
from advisor.workload import Method, Transformer, Workload
from advisor.yaml_io import data_root, read_text

MemoryKind = Literal["allocated", "reserved", "device"]

STYLES: Mapping[str, Mapping[str, Any]] = {
    "llama": {"gated_ffn": True},
    "llama-tied": {"gated_ffn": True, "tied_embeddings": True},
    "llama-alibi": {"gated_ffn": True, "position": "none"},
    "qwen": {"gated_ffn": True, "qkv_bias": True},
    "qwen3": {"gated_ffn": True, "qk_norm": "head"},
    "gemma": {"gated_ffn": True, "tied_embeddings": True},
    "gemma-2": {
        "gated_ffn": True, "tied_embeddings": True, "norms_per_layer": 4, "sliding_window": 4096,
        "global_layers_every": 2,
    },
    "gpt-oss": {
        "gated_ffn": True, "router_bias": True, "expert_bias": True, "attention_sinks": True,
        "qkv_bias": True, "attention_output_bias": True, "sliding_window": 128, "global_layers_every": 2,
    },
    "nemotron": {"norm": "layernorm"},
    "falcon": {"norm": "layernorm", "norms_per_layer": 1, "tied_embeddings": True},
    "neox": {"norm": "layernorm", "qkv_bias": True, "attention_output_bias": True, "ffn_bias": True},
    "phi": {
        "norm": "layernorm", "norms_per_layer": 1, "qkv_bias": True, "attention_output_bias": True,
        "ffn_bias": True, "head_bias": True,
    },
    "mpt": {"norm": "layernorm", "norm_bias": False, "position": "none", "tied_embeddings": True},
    "bloom": {
        "norm": "layernorm", "position": "none", "embedding_norm": True, "tied_embeddings": True,
        "qkv_bias": True, "attention_output_bias": True, "ffn_bias": True,
    },
    "gpt": {
        "norm": "layernorm", "position": "learned", "tied_embeddings": True, "qkv_bias": True,
        "attention_output_bias": True, "ffn_bias": True,
    },
    "bert": {
        "kind": "encoder", "norm": "layernorm", "position": "learned", "tied_embeddings": True,
        "token_types": 2, "final_norm": False, "embedding_norm": True, "qkv_bias": True, "attention_output_bias": True,
        "ffn_bias": True, "head": "none",
    },
}  # fmt: skip
"""What a family of models has beside its sizes, as fields of :class:`~advisor.workload.Transformer`."""

SAME_ARCHITECTURE = 2.0
OTHER_KIND = 3.0
ADAPTERS_OR_NOT = 2.0
QUANTISED_OR_NOT = 1.0
ONE_OR_SEVERAL = 1.0
MEMORY_ONLY = 1.0
"""Distances of :func:`nearest`, in doublings of the parameter count."""

SEQUENCE_WEIGHT = 0.5
COUNT_WEIGHT = 0.5

VOCABULARY_PADDING = 0.02
"""Vocabularies are padded to round numbers: a model with this much more or less is the same."""


@dataclass(frozen=True)
class Measurement:
    """One published run. Units: tokens per second of all GPUs, GiB on one GPU. None: not published."""

    gpu: str
    count: int
    model: str
    style: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int | None
    head_dim: int | None
    ffn: int
    vocab: int
    experts: int
    active_experts: int
    expert_ffn: int | None
    sequence_length: int
    micro_batch: int
    global_batch: int
    precision: str
    master_weights: str
    method: Method
    lora_rank: int | None
    lora_targets: str
    strategy: str
    data: int
    tensor: int
    pipeline: int
    checkpointing: str
    attention: str
    compile: bool
    fused_loss: bool
    optimizer: str
    trainer: str
    framework: str
    runtime: str
    runtime_version: str
    date: str
    tokens_per_s: float | None
    memory_gib: float | None
    memory_kind: MemoryKind | None
    fits: bool
    """False where the published outcome is that memory ran out."""
    runs: int
    """Equal runs of which this is the median."""
    source: str
    row: str
    note: str

    @property
    def published_speed(self) -> float | None:
        """Tokens per second of all GPUs."""
        return self.tokens_per_s

    @property
    def speed_unit(self) -> str:
        """Throughput of transformers counts tokens."""
        return "tokens/s"

    @property
    def step_time_s(self) -> float | None:
        """Seconds of one optimizer step."""
        if self.tokens_per_s is None:
            return None
        return self.global_batch * self.sequence_length / self.tokens_per_s

    @cached_property
    def transformer(self) -> Transformer:
        """The model's dimensions, with what its family has beside them."""
        document: dict[str, Any] = {
            name: value
            for name in (
                "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "experts",
                "active_experts", "expert_ffn",
            )
            if (value := getattr(self, name)) is not None
        }  # fmt: skip
        document |= STYLES[self.style]
        if document.get("position") == "learned":
            document["max_positions"] = max(self.sequence_length, 512)
        return Transformer.model_validate(document)

    @property
    def document(self) -> dict[str, Any]:
        """The workload as a document that fixes what the run fixed."""
        found: dict[str, Any] = {
            "name": self.model,
            "model": {"transformer": self.transformer},
            "task": "train" if self.method == "full" else "finetune",
            "method": self.method,
            "data": {"sequence_length": self.sequence_length},
            "batch": {"global": self.global_batch, "micro": self.micro_batch},
            "precision": self.precision,
            "master_weights": self.master_weights,
            "optimizer": self.optimizer,
            "checkpointing": self.checkpointing,
            "attention": self.attention,
            "compile": self.compile,
            "software": software_document(self.runtime, self.runtime_version)
            | {"trainer": self.trainer, "fused_loss": self.fused_loss},
        }
        if self.method != "full":
            found["lora"] = {"rank": self.lora_rank, "targets": tuple(self.lora_targets.split("+"))}
        if self.count > 1:
            found["sharding"] = {
                "data": self.data,
                "tensor": self.tensor,
                "pipeline": self.pipeline,
                "strategy": "ddp" if self.strategy == "none" else self.strategy,
            }
        return found

    @cached_property
    def workload(self) -> Workload:
        """The run as a workload."""
        return Workload.model_validate(self.document)


_TRUTH = {"true": True, "false": False}
_Reader = Callable[[str], Any]
_BY_TYPE: Mapping[str, _Reader] = {
    "int": lambda cell: int(cell) if cell else 0,
    "int | None": lambda cell: int(cell) if cell else None,
    "float | None": lambda cell: float(cell) if cell else None,
    "bool": _TRUTH.__getitem__,
    "MemoryKind | None": lambda cell: cell or None,
}
_READERS: Mapping[str, _Reader] = {
    name: _BY_TYPE.get(str(kind), str) for name, kind in Measurement.__annotations__.items()
}


def parse_measurements(text: str, source: str, gpus: frozenset[str] | None = None) -> tuple[Measurement, ...]:
    """Return the records of a table in CSV, in the order of the text.

    Args:
        text: CSV with a header that names every field of :class:`Measurement`.
        source: file name, for messages.
        gpus: ids whose rows to read; None reads all.

    Raises:
        InputError: a column is missing or a cell cannot be read.
    """
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    if missing := [name for name in _READERS if name not in header]:
        raise InputError(
            "columns are missing", source=source, value=", ".join(missing), accepted=", ".join(_READERS)
        )
    columns = [(name, header.index(name), read) for name, read in _READERS.items()]
    gpu = header.index("gpu")
    return tuple(
        _record(columns, row, f"{source}:{rows.line_num}")
        for row in rows
        if row and (gpus is None or row[gpu] in gpus)
    )


def _record(columns: Iterable[tuple[str, int, _Reader]], row: Sequence[str], place: str) -> Measurement:
    values: dict[str, Any] = {}
    for name, index, read in columns:
        try:
            values[name] = read(row[index])
        except (IndexError, KeyError, ValueError):
            raise InputError("the cell cannot be read", source=place, field=name) from None
    if values["style"] not in STYLES:
        raise InputError("no such style", source=place, value=values["style"], accepted=", ".join(STYLES))
    return Measurement(**values)


def load_measurements(
    root: Path | None = None, gpus: frozenset[str] | None = None
) -> tuple[Measurement, ...]:
    """Return the shipped measurements; they are read once.

    Args:
        root: the shipped catalog.
        gpus: ids whose measurements are wanted; None for all.

    Raises:
        InputError: a table is damaged.
    """
    return _load(root or data_root(), gpus)


@lru_cache(maxsize=32)
def _load(root: Path, gpus: frozenset[str] | None) -> tuple[Measurement, ...]:
    path = root / "measurements" / "transformers.csv"
    return parse_measurements(read_text(path), path.name, gpus)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as far as it decides which measurement is near."""

    transformer: Transformer
    gpu: Device
    count: int
    method: Method
    sequence_length: int | None


def nearest(
    measurements: Iterable[Measurement],
    *,
    transformer: Transformer,
    gpu: Device,
    devices: Mapping[str, Device],
    count: int,
    method: Method,
    training: bool,
    sequence_length: int | None = None,
    limit: int = 3,
) -> tuple[Near[Measurement], ...]:
    """Return the measurements closest to a question, the closest first.

    Only runs on the same GPU or on one of the same vendor and architecture count. The same model on the same
    GPU comes first. After that the distance is a sum: doublings between the parameter counts, half the doublings
    between the sequence lengths and between the numbers of GPUs, and fixed amounts for another GPU of the
    architecture, an encoder instead of a decoder or experts instead of none, adapters instead of all weights, a
    quantised base or not, one GPU instead of several, and a run of which only the memory is published.

    Equal distances are ordered by date (the newest first), source and row, so the answer does not depend on the
    order of the table. Runs that differ in batch or software only are represented by the closest.

    Args:
        measurements: to choose from.
        transformer: the model asked about.
        gpu: the GPU asked about.
        devices: the catalog by id.
        count: GPUs asked about.
        method: full, lora or qlora.
        training: there are no measurements of inference, so False finds none.
        sequence_length: tokens of a sample, None to leave it out.
        limit: how many to return.
    """
    if not training:
        return ()
    question = Question(transformer, gpu, count, method, sequence_length)
    ranked = []
    for each in measurements:
        device = devices.get(each.gpu)
        if each.fits and device is not None and related(device, gpu):
            same = device.id == gpu.id and _same_model(each.transformer, transformer)
            ranked.append(
                (not same, distance(each, question), newest_first(each.date), each.source, each.row, each)
            )
    ranked.sort(key=lambda item: item[:5])
    found: dict[tuple[object, ...], Near[Measurement]] = {}
    for _, apart, _, _, _, each in ranked:
        key = (each.gpu, each.count, each.model, each.method, each.sequence_length)
        if key not in found:
            found[key] = Near(each, apart, _words(each, devices[each.gpu], question))
        if len(found) == limit:
            break
    return tuple(found.values())


def distance(measurement: Measurement, question: Question) -> float:
    """Return how far a measurement is from a question, in doublings of the parameter count."""
    own, asked = measurement.transformer, question.transformer
    apart = doublings(_size(own), _size(asked))
    if question.sequence_length is not None:
        apart += SEQUENCE_WEIGHT * doublings(measurement.sequence_length, question.sequence_length)
    apart += COUNT_WEIGHT * doublings(measurement.count, question.count)
    apart += ONE_OR_SEVERAL * ((measurement.count == 1) != (question.count == 1))
    apart += SAME_ARCHITECTURE * (measurement.gpu != question.gpu.id)
    apart += OTHER_KIND * (own.kind != asked.kind or bool(own.experts) != bool(asked.experts))
    apart += ADAPTERS_OR_NOT * ((measurement.method == "full") != (question.method == "full"))
    apart += QUANTISED_OR_NOT * ((measurement.method == "qlora") != (question.method == "qlora"))
    return apart + MEMORY_ONLY * (measurement.tokens_per_s is None)


def _same_model(one: Transformer, other: Transformer) -> bool:
    """Compare dimensions; vocabularies may differ by padding."""
    names = (
        "kind",
        "layers",
        "hidden",
        "heads",
        "kv_head_count",
        "ffn",
        "experts",
        "gated_ffn",
        "norm",
        "position",
    )
    padded = abs(one.vocab - other.vocab) <= VOCABULARY_PADDING * other.vocab
    return padded and all(getattr(one, name) == getattr(other, name) for name in names)


def _size(model: Transformer) -> float:
    """Return about the number of parameters: the matrices of all layers, and one embedding."""
    attention = model.hidden * model.head_size * (2 * model.heads + 2 * model.kv_head_count)
    matrices = 3 if model.gated_ffn else 2
    experts = model.experts * (model.expert_ffn or model.ffn) + model.shared_expert_ffn
    channels = experts if model.experts else model.ffn
    layers = model.layers * (attention + matrices * model.hidden * channels)
    return float(layers + (model.decoder_layers or 0) * (layers / model.layers) + model.vocab * model.hidden)


def _billions(size: float) -> str:
    if size >= 9.95e9:
        return f"{size / 1e9:.0f}B"
    return f"{size / 1e9:.1f}B" if size >= 1e9 else f"{size / 1e6:.0f}M"


def _words(measurement: Measurement, device: Device, question: Question) -> str:
    """Return what a measurement shares with a question and where it differs."""
    own, asked = measurement.transformer, question.transformer
    first = "same GPU" if device.id == question.gpu.id else f"{device.name}, the same architecture"
    if _same_model(own, asked):
        parts = ["same dimensions"]
    else:
        parts = [f"{_billions(_size(own))} instead of {_billions(_size(asked))}"]
        if own.kind != asked.kind:
            parts.append(own.kind)
    length = f"sequence {measurement.sequence_length}"
    if question.sequence_length not in (None, measurement.sequence_length):
        length += f" instead of {question.sequence_length}"
    parts.append(length)
    if measurement.method != question.method:
        parts.append(f"method {measurement.method}")
    if measurement.count != question.count:
        parts.append(f"{measurement.count} GPU" + ("s" if measurement.count > 1 else ""))
    return f"{first}; {', '.join(parts)}"
