"""What a trace must not lose, count twice or guess: gradients of states, layouts, growth, other people's operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from advisor.describe.tracing.device_tensor import UntraceableError  # noqa: E402
from advisor.describe.tracing.kernels import works  # noqa: E402
from advisor.describe.tracing.recorder import Recording, onto_device, record  # noqa: E402
from advisor.describe.tracing.steps import trace  # noqa: E402
from advisor.operators import Kind, Phase  # noqa: E402
from advisor.torch_model import (  # noqa: E402
    InputSpec,
    Part,
    TorchModel,
)

BATCH = 4
HERE = "tests.test_trace_mended"


def recorded(
    build: Callable[[], nn.Module], shape: tuple[int, ...], half: torch.dtype | None = None
) -> Recording:
    with torch.device("meta"):
        module = build()

    def inputs() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (torch.empty((BATCH, *shape), device="meta"),), {}

    return record(onto_device(module), inputs, lambda output: output.sum(), half)


def model(name: str, shape: tuple[int, ...], **more: Any) -> TorchModel:
    return TorchModel(factory=f"{HERE}:{name}", input=InputSpec(shape=shape), loss="sum", **more)


def named(found: Recording, name: str, phase: Phase) -> list[Any]:
    return [work for when, work in found.works if when is phase and work.name == name]


def products(found: Recording, phase: Phase) -> float:
    return sum(work.flops * work.repeat for when, work in found.works if when is phase)


class Summary(nn.Module):
    """An encoder whose only path to the loss is the state that its decoder begins with."""

    def __init__(self, layer: Callable[..., nn.Module], layers: int = 1) -> None:
        super().__init__()
        self.encoder = layer(16, 32, layers, batch_first=True)
        self.decoder = layer(16, 32, layers, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, state = self.encoder(x)
        found: torch.Tensor = self.decoder(x[:, :3], state)[0]
        return found


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("layers", [1, 2])
def test_an_encoder_learns_through_the_state_of_its_decoder(
    layer: Callable[..., nn.Module], layers: int
) -> None:
    found = recorded(lambda: Summary(layer, layers), (20, 16))
    assert [work.repeat for work in named(found, "recurrent state", Phase.FORWARD)] == [20] * layers + [
        3
    ] * layers
    assert [work.repeat for work in named(found, "recurrent state", Phase.BACKWARD)] == [3] * layers + [
        20
    ] * layers


def test_a_projection_shortens_the_state_in_every_step() -> None:
    class Projecting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(16, 32, batch_first=True, proj_size=8, bidirectional=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found, (state, cell) = self.layer(x)
            assert found.shape == (BATCH, 5, 16)
            assert (state.shape, cell.shape) == ((2, BATCH, 8), (2, BATCH, 32))
            return found

    found = recorded(Projecting, (5, 16))
    each_step = 2 * 2 * BATCH * (4 * 32 * (16 + 8) + 32 * 8)
    assert products(found, Phase.FORWARD) == 5 * each_step
    assert products(found, Phase.BACKWARD) == 2 * products(found, Phase.FORWARD)


class Block(nn.Module):
    """Attention of a vision transformer, whose heads are put together without a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(64, 192, bias=False)
        self.out = nn.Linear(64, 64, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.project(x).unflatten(-1, (3, 4, 16)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        found: torch.Tensor = self.out(mixed.transpose(1, 2).reshape(x.shape))
        return found


@pytest.mark.parametrize("half", [None, torch.bfloat16])
def test_heads_lie_beside_each_other_so_that_no_copy_follows_attention(half: torch.dtype | None) -> None:
    found = recorded(Block, (128, 64), half)
    assert named(found, "clone", Phase.FORWARD) == []


def test_a_block_keeps_what_its_products_and_its_attention_need() -> None:
    found = recorded(Block, (128, 64))
    rows, line = BATCH * 128, 4 * 64
    normaliser = BATCH * 4 * 128 * 4
    # Input, the three projections, the output of attention, and that of the module.
    assert found.saved == rows * line * (1 + 3 + 1 + 1) + normaliser + 512


def test_two_networks_with_the_same_names_have_the_parameters_of_both() -> None:
    parts = tuple(
        Part(factory=f"{HERE}:{name}", input=InputSpec(shape=(16,)), loss="sum")
        for name in ("generator", "discriminator")
    )
    found = trace(TorchModel(parts=parts), tasks=("train",))["parameters"]
    assert found["total"] == 16 * 32 + 32 + 32 * 64 + 64 + 16 * 32 + 32 + 32 + 1


def generator() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 64))


def discriminator() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))


def test_a_network_that_two_parts_use_counts_once() -> None:
    parts = tuple(
        Part(factory=f"{HERE}:Using", args={"double": double}, input=InputSpec(shape=(16,)), loss="sum")
        for double in (False, True)
    )
    found = trace(TorchModel(parts=parts), tasks=("train",))["parameters"]
    assert found["total"] == 16 * 32 + 32 + 32 * 64 + 64


class Using(nn.Module):
    def __init__(self, *, double: bool) -> None:
        super().__init__()
        self.network, self.double = generator(), double

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(2 * x if self.double else x)
        return found


class OwnAutocast(nn.Module):
    def __init__(self, device: str | None, *, again: bool = False) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
        self.device, self.again = device, again
        self.seen: list[torch.dtype] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device or x.device.type, dtype=torch.bfloat16):
            x = checkpoint(self.inside, x, use_reentrant=False) if self.again else self.inside(x)
            self.seen.append(x.dtype)
        found: torch.Tensor = self.outside(x.float())
        return found


@pytest.mark.parametrize("device", ["cuda", None])
def test_a_modules_own_autocast_computes_in_half(device: str | None) -> None:
    found = recorded(lambda: OwnAutocast(device), (64,))
    assert [work.full_precision for work in named(found, "mm", Phase.FORWARD)] == [False, True]
    assert sum(work.full_precision for work in named(found, "mm", Phase.BACKWARD)) == 2


def test_a_checkpoint_in_a_modules_own_autocast_runs_again_in_half() -> None:
    found = recorded(lambda: OwnAutocast("cuda", again=True), (64,))
    again = [work for phase, work in found.works if phase is Phase.BACKWARD and work.name == "mm"]
    # The two products of the outer layer, the one that runs again, and one gradient of it.
    assert [work.full_precision for work in again] == [True, True, False, False]


def test_autocast_can_be_turned_off_in_a_module() -> None:
    class Precise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cuda", enabled=False):
                found: torch.Tensor = self.layer(x)
            return found

    found = recorded(Precise, (64,), torch.float16)
    assert all(work.full_precision for work in named(found, "mm", Phase.FORWARD))


class Contrastive(nn.Module):
    """Compares every sample with every other: logits of (batch, batch)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, 32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.encode(x)
        logits: torch.Tensor = found @ found.T
        return logits.log_softmax(-1)


def test_an_operator_that_grows_faster_than_the_batch_is_refused_where_it_matters() -> None:
    with pytest.raises(UntraceableError, match="faster than the batch") as caught:
        trace(model("Contrastive", (64,), args={"width": 8}), tasks=("train",))
    assert "mm" in caught.value.operator


def test_an_operator_that_grows_faster_than_the_batch_is_noted_where_it_hardly_counts() -> None:
    (note,) = trace(model("Contrastive", (64,), args={"width": 65536}), tasks=("train",))["notes"]
    assert "mm" in note
    assert "_log_softmax" in note


def test_a_step_that_grows_with_the_batch_has_no_notes() -> None:
    assert trace(model("generator", (16,)), tasks=("train", "inference"))["notes"] == []


class LoopAndMore(nn.Module):
    """Multiplies each sample, and two constants of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16, bias=False)

    def forward(self, samples: list[torch.Tensor]) -> torch.Tensor:
        constants = [torch.empty((1, 16), device=samples[0].device) for _ in range(2)]
        return torch.cat([self.layer(each[None]) for each in samples]).sum() + sum(
            self.layer(each).sum() for each in constants
        )


def test_a_loop_over_samples_keeps_what_runs_once_beside_it() -> None:
    spec = InputSpec(args=(InputSpec(list=InputSpec(shape=(16,))),))
    found = trace(TorchModel(factory=f"{HERE}:LoopAndMore", input=spec, loss="output"), tasks=("train",))
    forward = [
        row for row in found["traces"][0]["operators"] if (row.operator, row.phase) == ("mm", "forward")
    ]
    each = 2 * 16 * 16
    assert sorted((row.repeat, row.flops, row.flops_per_sample) for row in forward) == [
        (1, 0, each),
        (2, each, 0),
    ]


@pytest.mark.parametrize(
    ("call", "operator", "tensors"),
    [
        (lambda x: x.zero_(), torch.ops.aten.zero_.default, 1),
        (lambda x: x.add_(1), torch.ops.aten.add_.Scalar, 2),
    ],
)
def test_what_is_overwritten_is_not_read(call: Any, operator: Any, tensors: int) -> None:
    x = torch.empty(1000, device="meta")
    args = (x,) if tensors == 1 else (x, 1)
    (work,) = works(operator, args, {}, call(x))
    assert work.bytes == tensors * 4000


def test_a_copy_reads_its_source_and_no_template_is_read() -> None:
    x, y = (torch.empty(1000, device="meta") for _ in range(2))
    (copied,) = works(torch.ops.aten.copy_.default, (x, y), {}, x)
    (made,) = works(torch.ops.aten.ones_like.default, (x,), {}, torch.ones_like(x))
    assert (copied.bytes, made.bytes) == (8000, 4000)


@torch.library.custom_op("advisor_tests::unknown", mutates_args=())
def unknown(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@torch.library.custom_op("advisor_tests::counted", mutates_args=())
def counted(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


for _operator in (unknown, counted):
    _operator.register_fake(torch.empty_like)
    _operator.register_autograd(lambda _, gradient: gradient)


class Foreign(nn.Module):
    def __init__(self, operator: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.layer, self.operator = nn.Linear(8, 8), operator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.operator(self.layer(x))


def test_an_operator_that_is_not_torchs_is_refused_by_name() -> None:
    with pytest.raises(UntraceableError) as caught:
        recorded(lambda: Foreign(unknown), (8,))
    assert "advisor_tests.unknown" in caught.value.operator
    assert "register_flop_formula" in caught.value.reason


def test_an_operator_whose_flops_torch_is_told_is_a_product() -> None:
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    register_flop_formula(torch.ops.advisor_tests.counted)(lambda shape, **_: 100 * shape[0] * shape[1])
    try:
        found = recorded(lambda: Foreign(counted), (8,))
    finally:
        del flop_registry[torch.ops.advisor_tests.counted]
    (work,) = named(found, "advisor_tests::counted", Phase.FORWARD)
    assert (work.kind, work.flops) == (Kind.GEMM, 100 * BATCH * 8)
    assert 2 * work.rows * work.columns * work.inner == work.flops


def frozen() -> nn.Module:
    return nn.Linear(16, 4).requires_grad_(False)


def test_a_frozen_network_is_traced_for_inference_alone() -> None:
    both = TorchModel(factory=f"{HERE}:frozen", input=InputSpec(shape=(16,)))
    found = trace(both, tasks=("train", "inference"))
    assert [each["task"] for each in found["traces"]] == ["inference"]
    assert found["notes"] == ["training is not traced: no parameter requires a gradient"]


class OnlyTraining(nn.Module):
    """Selects detections by their score when it is not trained, as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(x)
        return found if self.training else found[found > 0]


def test_a_network_that_cannot_infer_without_data_is_traced_for_training_alone() -> None:
    found = trace(model("OnlyTraining", (16,)), tasks=("train", "inference"))
    assert {each["task"] for each in found["traces"]} == {"train"}
    assert found["notes"][0].startswith("inference is not traced: aten.")
    with pytest.raises(UntraceableError):
        trace(model("OnlyTraining", (16,)), tasks=("inference",))
