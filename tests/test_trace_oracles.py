"""Traces against what torch itself counts, and against sums by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from advisor.describe.tracing.device_tensor import UntraceableError  # noqa: E402
from advisor.describe.tracing.recorder import ModuleError, Recording, onto_device, record  # noqa: E402
from advisor.describe.tracing.steps import trace  # noqa: E402
from advisor.operators import Kind, Phase  # noqa: E402
from advisor.torch_model import InputSpec, TorchModel  # noqa: E402

BATCH = 4


def block(inputs: int, outputs: int, **options: Any) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, **options), nn.BatchNorm2d(outputs), nn.ReLU()
    )


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 8)), (32,)),
    "convolutions": (lambda: nn.Sequential(block(3, 16), block(16, 32, stride=2)), (3, 32, 32)),
    "dilated": (lambda: nn.Conv2d(8, 8, 3, dilation=2), (8, 20, 20)),
    "transposed": (lambda: nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1), (8, 16, 16)),
    "over a sequence": (lambda: nn.Conv1d(8, 16, 5, padding=2), (8, 50)),
    "over a volume": (lambda: nn.Conv3d(2, 4, 3), (2, 10, 10, 10)),
}
GROUPED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "grouped": (lambda: block(16, 16, groups=4), (16, 16, 16)),
    "depthwise": (lambda: block(16, 16, groups=16), (16, 16, 16)),
}


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def recorded(
    module: nn.Module,
    shape: tuple[int, ...],
    *,
    batch: int = BATCH,
    loss: bool = True,
    half: torch.dtype | None = None,
    dtype: torch.dtype = torch.float32,
) -> Recording:
    def inputs() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (torch.empty((batch, *shape), dtype=dtype, device="meta"),), {}

    return record(onto_device(module), inputs, (lambda output: output.sum()) if loss else None, half)


def flops(found: Recording, *phases: Phase) -> float:
    return sum(work.flops * work.repeat for phase, work in found.works if phase in phases)


def counted(module: nn.Module, shape: tuple[int, ...], *, backward: bool) -> float:
    with FlopCounterMode(display=False) as counter:
        output = module(torch.empty((BATCH, *shape), device="meta", requires_grad=False))
        if backward:
            output.sum().backward()
    return float(counter.get_total_flops())


@pytest.mark.parametrize("name", [*MODULES, *GROUPED])
def test_forward_flops_are_those_that_torch_counts(name: str) -> None:
    build, shape = (MODULES | GROUPED)[name]
    expected = counted(on_meta(build), shape, backward=False)
    assert flops(recorded(on_meta(build), shape), Phase.FORWARD) == expected > 0


@pytest.mark.parametrize("name", MODULES)
def test_flops_of_a_step_are_those_that_torch_counts(name: str) -> None:
    """Grouped convolutions are left out: torch's counter forgets the groups in the gradient of their weights."""
    build, shape = MODULES[name]
    expected = counted(on_meta(build), shape, backward=True)
    assert flops(recorded(on_meta(build), shape), Phase.FORWARD, Phase.BACKWARD) == expected


@pytest.mark.parametrize("name", GROUPED)
def test_a_grouped_convolution_costs_twice_as_much_backward(name: str) -> None:
    build, shape = GROUPED[name]
    first = nn.Sequential(nn.ReLU(), on_meta(build))
    found = recorded(nn.Sequential(on_meta(lambda: nn.Conv2d(shape[0], shape[0], 1)), first), shape)
    groups = [(phase, work) for phase, work in found.works if "3x3" in work.name]
    forward = sum(work.flops for phase, work in groups if phase is Phase.FORWARD)
    assert sum(work.flops for phase, work in groups if phase is Phase.BACKWARD) == 2 * forward > 0


def blocks(count: int) -> int:
    return -(-count // 512) * 512


def test_saved_bytes_are_what_backward_needs_and_what_the_loop_holds() -> None:
    module = on_meta(lambda: nn.Sequential(nn.Linear(100, 200), nn.ReLU(), nn.Linear(200, 10)))
    found = recorded(module, (100,))
    # Backward of a linear layer does not need its output, which a training loop holds all the same.
    tensors = (BATCH * 100, BATCH * 200, BATCH * 10, 1)
    assert found.saved == sum(blocks(4 * numbers) for numbers in tensors)


def test_parameters_and_their_gradients_are_not_activations() -> None:
    module = on_meta(lambda: nn.Linear(2000, 2000))
    found = recorded(module, (2000,))
    assert found.saved < 2000 * 2000
    assert found.peak < 2 * 2000 * 2000 * 4


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(64, 192)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.project(x).unflatten(-1, (3, 4, 16)).permute(2, 0, 3, 1, 4)
        return nn.functional.scaled_dot_product_attention(query, key, value)


def test_attention_is_one_kernel_and_keeps_no_scores() -> None:
    found = recorded(on_meta(Attention), (512, 64))
    rows = [(phase, work) for phase, work in found.works if work.kind is Kind.ATTENTION]
    assert [phase for phase, _ in rows] == [Phase.FORWARD, Phase.BACKWARD]
    assert rows[0][1].flops == 4 * BATCH * 4 * 512 * 512 * 16
    assert found.saved < BATCH * 4 * 512 * 512 * 4


def test_recurrent_layers_are_products_and_steps() -> None:
    found = recorded(on_meta(lambda: First(nn.LSTM(32, 64, 2, batch_first=True, dropout=0.1))), (20, 32))
    steps = [work for phase, work in found.works if work.kind is Kind.RECURRENT and phase is Phase.FORWARD]
    assert [work.repeat for work in steps] == [20, 20]
    forward = 2 * BATCH * 20 * 4 * 64 * ((32 + 64) + (64 + 64))
    assert flops(found, Phase.FORWARD) == forward


class First(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(x)[0]
        return found


def test_dropout_keeps_a_byte_an_element() -> None:
    kept, plain = (
        recorded(on_meta(lambda p=p: nn.Sequential(nn.Linear(64, 4096), nn.Dropout(p))), (64,)).saved
        for p in (0.5, 0.0)
    )
    assert kept - plain == pytest.approx(BATCH * 4096, rel=0.3)


def test_silu_is_one_kernel_backward() -> None:
    found = recorded(on_meta(lambda: nn.Sequential(nn.Linear(8, 8), nn.SiLU())), (8,))
    names = [work.name for phase, work in found.works if phase is Phase.BACKWARD]
    assert names.count("silu_backward") == 1
    assert "sigmoid" not in names


def test_autocast_casts_each_weight_once_and_computes_in_half() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(self.layer(self.layer(x)), -1)

    found = recorded(on_meta(Twice), (64,), half=torch.float16)
    forward = [work for phase, work in found.works if phase is Phase.FORWARD]
    assert sum(work.name == "_to_copy" and work.bytes == 64 * 64 * 6 for work in forward) == 1
    assert not any(work.full_precision for work in forward if work.kind is Kind.GEMM)
    (softmax,) = (work for work in forward if work.kind is Kind.SOFTMAX)
    assert softmax.bytes == 2 * BATCH * 64 * 4


def test_checkpointing_runs_forward_again_in_the_same_precision() -> None:
    from torch.utils.checkpoint import checkpoint

    class Deep(nn.Module):
        def __init__(self, *, again: bool) -> None:
            super().__init__()
            self.parts = nn.ModuleList(nn.Sequential(nn.Linear(256, 256), nn.GELU()) for _ in range(6))
            self.again = again

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for part in self.parts:
                x = checkpoint(part, x, use_reentrant=False) if self.again else part(x)
            return x

    plain, again = (
        recorded(on_meta(lambda a=a: Deep(again=a)), (64, 256), half=torch.float16) for a in (False, True)
    )
    assert again.saved < 0.7 * plain.saved
    assert flops(again, Phase.FORWARD) == flops(plain, Phase.FORWARD)
    assert flops(again, Phase.BACKWARD) == pytest.approx(
        flops(plain, Phase.BACKWARD) + flops(plain, Phase.FORWARD)
    )


class Selecting(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inner(x)
        if self.how == "nonzero":
            return x[x.nonzero()[:, 0]]
        if self.how == "item":
            return x * x.sum().item()
        return x[x > 0]


@pytest.mark.parametrize("how", ["nonzero", "item", "mask"])
def test_what_depends_on_data_is_refused_with_the_operator_and_the_module(how: str) -> None:
    with pytest.raises(UntraceableError) as caught:
        recorded(nn.Sequential(Selecting(how)), (4,))
    assert "0 (Selecting)" in caught.value.reason
    assert "aten" in caught.value.operator


def test_an_error_in_a_module_names_it() -> None:
    with pytest.raises(ModuleError) as caught:
        recorded(nn.Sequential(nn.Linear(4, 8), nn.Linear(9, 2)), (4,))
    assert caught.value.place == "1 (Linear)"


def test_other_batches_lie_on_the_line() -> None:
    build, shape = MODULES["convolutions"]
    model = TorchModel(
        factory="tests.test_trace_oracles:convolutions", input=InputSpec(shape=shape), loss="sum"
    )
    traced = trace(model, tasks=("train",))["traces"][0]
    for batch in (5, 64):
        found = recorded(on_meta(build), shape, batch=batch)
        line = traced["saved_bytes"]
        assert line["fixed"] + line["per_sample"] * batch == pytest.approx(found.saved, rel=0.01)
        total = sum(row.repeat * (row.bytes + row.bytes_per_sample * batch) for row in traced["operators"])
        assert total == pytest.approx(sum(work.repeat * work.bytes for _, work in found.works), rel=0.001)


def convolutions() -> nn.Module:
    return MODULES["convolutions"][0]()


def test_shared_parameters_count_once() -> None:
    traced = trace(
        TorchModel(
            factory="tests.test_trace_oracles:tied", input=InputSpec(shape=(7,), dtype="int64"), loss="sum"
        ),
        tasks=("train",),
    )
    assert traced["parameters"]["total"] == 100 * 16


def tied() -> nn.Module:
    table = nn.Embedding(100, 16)
    head = nn.Linear(16, 100, bias=False)
    head.weight = table.weight
    return nn.Sequential(table, head)


class EachImage(nn.Module):
    """Takes a list with an image for each sample, as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.resize = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)

    def forward(self, images: list[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = self.head(
            torch.stack([self.resize(image[None])[0] for image in images]).mean((2, 3))
        )
        return found


def test_a_loop_over_samples_starts_kernels_for_each() -> None:
    spec = InputSpec(args=(InputSpec(list=InputSpec(shape=(3, 32, 32))),))
    model = TorchModel(factory="tests.test_trace_oracles:EachImage", input=spec, loss="sum")
    traced = trace(model, tasks=("train",))["traces"][0]
    loops = [
        row for row in traced["operators"] if (row.operator, row.phase) == ("convolution 3x3", "forward")
    ]
    assert [(row.repeat, row.launches, row.launches_per_sample, row.flops_per_sample) for row in loops] == [
        (1, 0, 1, 2 * 32 * 32 * 3 * 27)
    ]
    batched = [row for row in traced["operators"] if row.operator == "addmm"]
    assert [(row.launches, row.launches_per_sample) for row in batched] == [(1, 0)]
