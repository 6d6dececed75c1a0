"""Real models: they hold, compute and keep what the descriptions and tables of the same models say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from advisor.calibrate.runnable import Runnable, RunPlan, runnable  # noqa: E402
from advisor.describe.named import load_named  # noqa: E402
from advisor.describe.shipped_networks import load_network  # noqa: E402
from advisor.describe.transformer import describe_training  # noqa: E402
from advisor.describe.variant import Variant  # noqa: E402
from advisor.describe.weights import parameter_count  # noqa: E402
from advisor.errors import InputError, MissingExtraError  # noqa: E402
from advisor.network import NetworkTable  # noqa: E402
from advisor.operators import Phase  # noqa: E402
from advisor.render.json import render_operators  # noqa: E402
from advisor.torch_model import TorchModel  # noqa: E402
from advisor.workload import Lora, Transformer  # noqa: E402
from advisor.yaml_io import data_root  # noqa: E402

BATCH, TOKENS, VOCABULARY = 8, 64, 1000

BIASES = {"qkv_bias": True, "attention_output_bias": True, "ffn_bias": True}
SIZES = {"layers": 3, "hidden": 128, "heads": 8}
GPT2 = {
    **SIZES, **BIASES, "ffn": 512, "vocab": VOCABULARY, "norm": "layernorm", "position": "learned",
    "max_positions": 128, "tied_embeddings": True,
}  # fmt: skip
LLAMA = {**SIZES, "kv_heads": 2, "ffn": 352, "vocab": VOCABULARY, "gated_ffn": True}
QWEN = {**LLAMA, "head_dim": 32, "qkv_bias": True, "qk_norm": "head", "tied_embeddings": True}
BERT = {
    **GPT2, "kind": "encoder", "token_types": 2, "embedding_norm": True, "final_norm": False,
    "head": "masked-language-model",
}  # fmt: skip
VIT = {
    **SIZES, **BIASES, "kind": "encoder", "ffn": 512, "vocab": 0, "norm": "layernorm", "position": "learned",
    "head": "classifier", "classes": 10, "image_size": 64, "patch_size": 8, "class_token": True,
}  # fmt: skip
MODELS = {"gpt2": GPT2, "llama": LLAMA, "qwen": QWEN, "bert": BERT, "vit": VIT}
"""Small versions of published models; no other size is that of the vocabulary."""

RESNET = {
    "factory": "advisor.zoo.resnet:build", "args": {"depth": 18, "classes": 10}, "input": {"shape": [3, 64, 64]},
    "loss": "cross-entropy",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def plan(**fields: Any) -> RunPlan:
    usual = {
        "device": "cpu", "task": "train", "precision": "fp32", "mixed": False, "micro_batch": 2,
        "sequence_length": TOKENS,
    }  # fmt: skip
    return RunPlan(**(usual | fields))


def transformer(name: str, **fields: Any) -> Transformer:
    return Transformer.model_validate(MODELS[name] | fields)


def network(**fields: Any) -> TorchModel:
    return TorchModel.model_validate(RESNET | fields)


def weights(running: Runnable) -> dict[str, Any]:
    return {
        name: each.detach().clone() for module in running.modules for name, each in module.named_parameters()
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name, each in before.items() if not torch.equal(each, after[name])}


def kept_bytes(running: Runnable) -> tuple[float, float]:
    """Return bytes that autograd keeps: of the layers, and of the loss; parameters and constants not counted."""
    own = {
        each.untyped_storage().data_ptr()
        for module in running.modules
        for each in (*module.parameters(), *module.buffers())
    }
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        running.forward()
    sizes = [
        (tensor.untyped_storage().nbytes(), tensor.shape[-1:] == (VOCABULARY,)) for tensor in kept.values()
    ]
    return sum(size for size, logits in sizes if not logits), sum(size for size, logits in sizes if logits)


@pytest.mark.parametrize("name", MODELS)
def test_a_transformer_holds_the_parameters_of_its_description(name: str) -> None:
    model = transformer(name)
    assert runnable(model, plan()).parameters == parameter_count(model)


@pytest.mark.parametrize(
    "name",
    [
        "gpt2", "bert-base", "bert-base-mlm", "electra-small", "vit-b-16", "llama-3.2-1b", "qwen2.5-0.5b",
        "qwen3-0.6b", "gemma-3-1b", "falcon-7b", "opt-350m", "bloom-560m", "olmo-2-7b", "command-r-plus",
    ],
)  # fmt: skip
def test_a_published_transformer_holds_the_parameters_of_its_description(name: str) -> None:
    model = load_named(data_root(), name).transformer
    found = runnable(model, plan(device="meta", task="inference", precision="bf16", micro_batch=1))
    assert found.parameters == parameter_count(model)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("precision", "mixed"), [("fp32", False), ("bf16", True), ("bf16", False)])
def test_steps_change_the_weights_and_the_loss_stays_finite(name: str, precision: str, mixed: bool) -> None:
    running = runnable(transformer(name), plan(precision=precision, mixed=mixed))
    before = weights(running)
    running.step()
    running.step(accumulation=2)
    # A norm's scale of 1 and the smallest change of bf16 are a hundred times a step of Adam apart.
    expected = {each for each in before if mixed or precision == "fp32" or before[each].dim() > 1}
    assert expected <= changed(before, weights(running))
    assert all(
        each.dtype == (torch.float32 if mixed or precision == "fp32" else torch.bfloat16)
        for each in before.values()
    )
    assert math.isfinite(running.forward().item())


def test_a_step_is_its_three_passes_and_frees_the_gradients() -> None:
    running = runnable(network(), plan(precision="bf16", mixed=True, optimizer="sgd-momentum"))
    before = weights(running)
    loss = running.forward()
    (module,) = running.modules
    assert all(each.grad is None for each in module.parameters())
    running.backward(loss)
    assert all(each.grad is not None for each in module.parameters())
    assert not changed(before, weights(running))
    running.optimizer_step()
    assert all(each.grad is None for each in module.parameters())
    assert changed(before, weights(running)) == set(before)


def test_fp16_under_autocast_scales_its_loss_and_takes_the_first_step() -> None:
    running = runnable(transformer("llama"), plan(precision="fp16", mixed=True))
    before = weights(running)
    loss = running.forward()
    running.backward(loss)
    largest = max(each.grad.abs().max() for module in running.modules for each in module.parameters())
    assert largest > 1.0
    running.optimizer_step()
    assert changed(before, weights(running)) == set(before)


@pytest.mark.parametrize("optimizer", ["sgd", "sgd-momentum", "adam", "adamw", "adafactor"])
def test_every_optimizer_of_torch_steps(optimizer: str) -> None:
    running = runnable(transformer("gpt2"), plan(optimizer=optimizer))
    before = weights(running)
    running.step()
    assert changed(before, weights(running))


def test_without_an_optimizer_the_weights_stay() -> None:
    running = runnable(transformer("gpt2"), plan(optimizer="none"))
    before = weights(running)
    running.step()
    assert not changed(before, weights(running))


@pytest.mark.parametrize("name", MODELS)
def test_a_step_computes_the_products_of_the_description(name: str) -> None:
    # Separate products of attention, because torch counts none of its fused kernels on a CPU.
    model = transformer(name)
    running = runnable(model, plan(attention="eager", micro_batch=BATCH))
    with FlopCounterMode(display=False) as counted:
        running.step()
    described = describe_training(model, TOKENS, Variant(compute_bytes=4.0, attention="eager"))
    assert counted.get_total_flops() == pytest.approx(described.table.flops(BATCH), rel=0.02)


@pytest.mark.parametrize("checkpointing", ["selective", "full"])
def test_checkpointing_computes_again_what_the_description_says(checkpointing: str) -> None:
    model = transformer("gpt2")
    counts = {}
    for each in ("none", checkpointing):
        running = runnable(model, plan(attention="eager", checkpointing=each))
        with FlopCounterMode(display=False) as counted:
            running.step()
        counts[each] = counted.get_total_flops()
    table = describe_training(model, TOKENS, Variant(compute_bytes=4.0, attention="eager")).table
    forward = [
        (name, repeat * flops)
        for name, repeat, flops, phase in zip(
            table.names, table.repeat, table.flops_per_sample, table.phase, strict=True
        )
        if phase == Phase.FORWARD
    ]
    cheap = ("attention.scores", "attention.values")
    again = sum(
        flops
        for name, flops in forward
        if (name in cheap if checkpointing == "selective" else name != "head")
    )
    assert counts[checkpointing] - counts["none"] == pytest.approx(2 * again, rel=0.02)


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in ("none", "selective", "full"):
        torch.manual_seed(0)
        running = runnable(transformer("llama"), plan(checkpointing=checkpointing))
        running.backward(running.forward())
        gradients.append([each.grad for module in running.modules for each in module.parameters()])
    for other in gradients[1:]:
        torch.testing.assert_close(gradients[0], other)


def test_eager_and_fused_attention_are_the_same_function() -> None:
    losses = []
    for attention in ("eager", "flash"):
        torch.manual_seed(0)
        running = runnable(transformer("qwen"), plan(attention=attention))
        losses.append(running.forward().item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_decoder_does_not_see_what_follows() -> None:
    running = runnable(transformer("llama"), plan(task="inference"))
    (module,) = running.modules
    tokens = torch.randint(0, VOCABULARY, (1, TOKENS))
    other = tokens.clone()
    other[0, TOKENS // 2 :] = 0
    with torch.no_grad():
        states = [
            module.layers[0](module.embedding(each), (module.cosine, module.sine), None)
            for each in (tokens, other)
        ]
    before, after = (each[0, : TOKENS // 2] for each in states)
    torch.testing.assert_close(before, after)
    assert not torch.allclose(states[0][0, TOKENS // 2 :], states[1][0, TOKENS // 2 :])


@pytest.mark.parametrize(
    ("name", "precision", "mixed", "attention", "off"),
    [
        ("gpt2", "fp32", False, "flash", 0.15),
        ("gpt2", "bf16", True, "flash", 0.15),
        ("gpt2", "bf16", False, "eager", 0.15),
        ("llama", "fp32", False, "flash", 0.15),
        ("llama", "bf16", False, "flash", 0.15),
        ("llama", "bf16", False, "eager", 0.15),
        # Each of query, key, value, gate and up casts the fp32 result of a norm for itself, and keeps its copy.
        ("llama", "bf16", True, "flash", 0.22),
        ("bert", "bf16", True, "eager", 0.15),
    ],
)
def test_what_is_kept_for_backward_is_what_the_description_says(
    name: str, precision: str, mixed: bool, attention: Any, off: float
) -> None:
    model = transformer(name)
    element = 4 if precision == "fp32" else 2
    variant = Variant(compute_bytes=element, autocast=mixed, attention=attention)
    described = describe_training(model, TOKENS, variant)
    running = runnable(model, plan(precision=precision, mixed=mixed, attention=attention, micro_batch=BATCH))
    layers, _ = kept_bytes(running)
    # Casts of the weights are states in the description.
    layers -= described.states.autocast_copies * element
    if name != "llama":
        # A mask of dropout has one byte on a GPU, on a CPU it is as large as what it masks.
        layers -= 2 * model.layers * BATCH * TOKENS * model.hidden * (element - 1)
        if attention == "eager":
            masked = model.layers * BATCH * model.heads * TOKENS**2
            layers -= masked * (element - 1)
    assert layers == pytest.approx(described.saved["none"].at(BATCH), rel=off)


def test_the_loss_keeps_log_probabilities_in_fp32() -> None:
    _, loss = kept_bytes(runnable(transformer("llama"), plan(precision="bf16", micro_batch=BATCH)))
    assert loss == BATCH * TOKENS * VOCABULARY * 4


def test_adapters_are_trained_and_nothing_else() -> None:
    running = runnable(
        transformer("llama"),
        plan(method="lora", precision="bf16", lora=Lora(rank=4, targets=("query", "down"))),
    )
    before = weights(running)
    running.step()
    adapters = {name for name in before if name.endswith((".a.weight", ".b.weight"))}
    assert len(adapters) == 2 * 2 * SIZES["layers"]
    assert changed(before, weights(running)) == adapters
    assert {before[name].dtype for name in adapters} == {torch.float32}
    assert {each.dtype for name, each in before.items() if name not in adapters} == {torch.bfloat16}


def test_adapters_on_all_layers_are_as_many_as_the_description_trains() -> None:
    model = transformer("qwen")
    running = runnable(model, plan(method="lora", lora=Lora(rank=4)))
    variant = Variant(method="lora", lora_rank=4)
    trainable = describe_training(model, TOKENS, variant).states.trainable
    trained = sum(
        each.numel() for module in running.modules for each in module.parameters() if each.requires_grad
    )
    assert trained == trainable
    assert running.parameters == parameter_count(model) + trainable


def test_inference_keeps_nothing_and_gives_the_last_token_only() -> None:
    running = runnable(transformer("gpt2"), plan(task="inference"))
    shapes = []
    (module,) = running.modules
    module.register_forward_hook(lambda _, __, output: shapes.append((output.shape, output.requires_grad)))
    running.inference()
    assert shapes == [((2, 1, VOCABULARY), False)]
    assert not module.training
    running.train_mode()
    assert module.training


@pytest.mark.parametrize("name", ["resnet50", "resnet50-v1"])
def test_our_resnet_gives_the_shipped_table(name: str) -> None:
    from advisor.zoo.__main__ import build, entries

    folder = data_root() / "models"
    (entry,) = (each for each in entries(folder / "tables.yaml") if each.name == name)
    assert entry.package == "advisor"
    assert render_operators(build(entry)) == (folder / "tables" / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(18, 11689512), (34, 21797672), (50, 25557032), (101, 44549160), (152, 60192808)],
)
def test_our_resnet_has_the_published_parameters(depth: int, parameters: int) -> None:
    from advisor.zoo.resnet import build

    with torch.device("meta"):
        assert sum(each.numel() for each in build(depth).parameters()) == parameters


def test_a_published_resnet_halves_images_in_its_first_convolutions() -> None:
    from advisor.zoo.resnet import build

    def strides(stride_first: bool) -> list[int]:
        with torch.device("meta"):
            module = build(50, stride_first=stride_first)
        return [
            each.kernel_size[0]
            for name, each in module.named_modules()
            if isinstance(each, torch.nn.Conv2d) and each.stride == (2, 2) and "shortcut" not in name
        ]

    assert strides(stride_first=False) == [7, 3, 3, 3]
    assert strides(stride_first=True) == [7, 1, 1, 1]
    with pytest.raises(ValueError, match="no bottlenecks"):
        build(18, stride_first=True)
    with pytest.raises(ValueError, match="18, 34, 50, 101, 152"):
        build(20)


@pytest.mark.parametrize("name", ["dcgan", "resnet20-cifar10", "mlp-mnist"])
def test_a_shipped_network_of_ours_runs_with_the_parameters_of_its_table(name: str) -> None:
    table: NetworkTable = load_network(data_root(), name)
    running = runnable(table.origin.model, plan(precision="bf16", mixed=True, memory_format="nhwc"))
    assert running.parameters == table.parameters.total
    running.step()
    assert math.isfinite(running.forward().item())


def test_nhwc_puts_weights_and_images_channels_last() -> None:
    running = runnable(network(), plan(memory_format="nhwc"))
    (module,) = running.modules
    convolution = module[0]
    seen = []
    convolution.register_forward_hook(lambda _, inputs, output: seen.extend((*inputs, output)))
    running.forward()
    for each in (convolution.weight, *seen):
        assert each.is_contiguous(memory_format=torch.channels_last)
        assert not each.is_contiguous()


def test_a_network_of_several_parts_runs_them_one_after_the_other() -> None:
    part = {
        "factory": "advisor.zoo.small_nets:mlp_mnist", "input": {"shape": [1, 28, 28]}, "loss": "cross-entropy"
    }  # fmt: skip
    other = {key: value for key, value in RESNET.items() if key != "loss"}
    model = TorchModel.model_validate({"parts": [part, other]})
    running = runnable(model, plan())
    before = [weights(runnable(TorchModel.model_validate(each), plan())) for each in (part, other)]
    assert running.parameters == sum(each.numel() for found in before for each in found.values())
    start = [each.detach().clone() for module in running.modules for each in module.parameters()]
    running.step()
    after = [each for module in running.modules for each in module.parameters()]
    assert not any(torch.equal(first, second) for first, second in zip(start, after, strict=True))


def test_inputs_are_random_and_below_their_limit() -> None:
    model = TorchModel.model_validate(
        {
            "factory": "torch.nn:Embedding",
            "args": {"num_embeddings": 50, "embedding_dim": 4},
            "input": {"shape": [300], "dtype": "int64", "high": 50},
            "loss": "mse",
        }
    )
    running = runnable(model, plan())
    (module,) = running.modules
    seen = []
    module.register_forward_hook(lambda _, inputs, __: seen.extend(inputs))
    assert math.isfinite(running.forward().item())
    assert seen[0].shape == (2, 300)
    assert set(seen[0].unique().tolist()) == set(range(50))


def test_tf32_is_set_for_a_pass_and_taken_back() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    found = {}
    for precision in ("fp32", "tf32", "bf16"):
        running = runnable(network(), plan(precision=precision))
        (module,) = running.modules
        module.register_forward_pre_hook(
            lambda *_, precision=precision: found.update(
                {precision: (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)}
            )
        )
        running.forward()
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before
    assert found == {"fp32": ("highest", False), "tf32": ("high", True), "bf16": before}


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        (transformer("llama"), {"precision": "fp8"}, "precision"),
        (transformer("llama"), {"method": "qlora"}, "method"),
        (transformer("llama"), {"optimizer": "lion"}, "optimizer"),
        (transformer("llama"), {"optimizer": "adamw-8bit"}, "optimizer"),
        (transformer("llama"), {"sequence_length": None}, "data.sequence_length"),
        (transformer("gpt2"), {"sequence_length": 129}, "data.sequence_length"),
        (transformer("llama"), {"method": "lora", "lora": Lora(targets=("qproj",))}, "lora.targets"),
        (transformer("llama", experts=4, active_experts=2), {}, "model.transformer.experts"),
        (transformer("llama", attention_sinks=True), {}, "model.transformer.attention_sinks"),
        (transformer("llama", sliding_window=32), {}, "model.transformer.sliding_window"),
        (transformer("llama", audio_channels=80), {}, "model.transformer.audio_channels"),
        (transformer("llama", head_dim=15), {}, "model.transformer.head_dim"),
        (transformer("vit", head="language-model"), {}, "model.transformer.head"),
        (transformer("llama", kind="encoder-decoder", decoder_layers=2), {}, "model.transformer.kind"),
        (network(), {"method": "lora"}, "method"),
        (network(), {"checkpointing": "full"}, "checkpointing"),
        (network(args={"depth": 19}), {}, "model.torch.factory"),
        (network(factory="advisor.zoo.resnet:BLOCKS"), {}, "model.torch.factory"),
        (network(input={"shape": [3], "dtype": "int64"}), {}, "model.torch.input.high"),
        (TorchModel.model_validate({"parts": [RESNET, RESNET]}), {}, "model.torch.parts"),
        (TorchModel.model_validate({"parts": [RESNET | {"weight": 0.5}]}), {}, "model.torch.parts.weight"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_field(model: Any, fields: Any, field: str) -> None:
    with pytest.raises(InputError) as refused:
        runnable(model, plan(**fields))
    assert refused.value.field == field


def test_a_window_as_long_as_the_sequence_is_no_window() -> None:
    model = transformer("llama", sliding_window=TOKENS)
    assert math.isfinite(runnable(model, plan()).forward().item())


def test_a_missing_package_is_named() -> None:
    model = network(factory="package_that_is_not_there.models:build")
    with pytest.raises(MissingExtraError, match="package_that_is_not_there") as refused:
        runnable(model, plan())
    assert refused.value.hint == "pip install package_that_is_not_there"
