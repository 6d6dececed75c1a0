"""Definitions of the zoo: published sizes, and gradients that reach what a step trains and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from advisor.describe.torch_module import trace_module  # noqa: E402
from advisor.network import kind_of, phase_of  # noqa: E402
from advisor.operators import Kind, Phase  # noqa: E402
from advisor.torch_model import InputSpec, Part, TorchModel  # noqa: E402
from advisor.zoo import dcgan, pix2pix, stylegan2, unet  # noqa: E402

BATCH = 4


def on_meta(factory: Callable[..., torch.nn.Module], *args: object, **kwargs: object) -> torch.nn.Module:
    with torch.device("meta"):
        return factory(*args, **kwargs)


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def reached(module: torch.nn.Module, *inputs: torch.Tensor) -> set[str]:
    """Return the names of the parameters that get a gradient from the module's own loss."""
    loss = module(*inputs)
    assert loss.shape == ()
    loss.backward()
    return {name for name, parameter in module.named_parameters() if parameter.grad is not None}


def names(module: torch.nn.Module, prefix: str = "") -> set[str]:
    return {name for name, _ in module.named_parameters() if name.startswith(prefix)}


PUBLISHED = [
    pytest.param(unet.unet_3d, {}, 31.2e6, id="unet-3d"),
    pytest.param(unet.unet_2d, {}, 31.0e6, id="unet-2d"),
    pytest.param(stylegan2.generator, {"resolution": 1024}, 30.37e6, id="stylegan2-generator-1024"),
    pytest.param(stylegan2.discriminator, {"resolution": 1024}, 29.01e6, id="stylegan2-discriminator-1024"),
    pytest.param(
        stylegan2.generator, {"resolution": 256, "channel_base": 16384}, 24.77e6, id="stylegan2-generator-256"
    ),
    pytest.param(
        stylegan2.discriminator,
        {"resolution": 256, "channel_base": 16384},
        24.0e6,
        id="stylegan2-discriminator-256",
    ),
    pytest.param(dcgan.generator, {}, 3.577e6, id="dcgan-generator"),
    pytest.param(dcgan.discriminator, {}, 2.766e6, id="dcgan-discriminator"),
    pytest.param(pix2pix.Generator, {}, 54.414e6, id="pix2pix-generator"),
    pytest.param(pix2pix.discriminator, {}, 2.769e6, id="pix2pix-discriminator"),
]


@pytest.mark.parametrize(("factory", "args", "parameters"), PUBLISHED)
def test_a_network_has_the_published_number_of_parameters(
    factory: Callable[..., torch.nn.Module], args: dict[str, int], parameters: float
) -> None:
    assert count(on_meta(factory, **args)) == pytest.approx(parameters, rel=0.02)


@pytest.mark.parametrize(
    ("factory", "shape", "classes"),
    [(unet.unet_3d, (1, 1, 128, 128, 128), 3), (unet.unet_2d, (1, 3, 512, 512), 2)],
    ids=["3d", "2d"],
)
def test_a_unet_gives_logits_of_full_size_and_trains_everything(
    factory: Callable[..., torch.nn.Module], shape: tuple[int, ...], classes: int
) -> None:
    module = on_meta(factory)
    logits = module(meta(*shape))
    assert logits.shape == (1, classes, *shape[2:])
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("half_resolutions", [0, 4])
def test_stylegan2_makes_images_in_fp32_with_the_highest_resolutions_in_fp16(half_resolutions: int) -> None:
    module = on_meta(stylegan2.generator, 256, half_resolutions=half_resolutions)
    seen = {}
    for place, layer in enumerate(module.same):
        layer.register_forward_hook(lambda _, __, output, at=8 * 2**place: seen.update({at: output.dtype}))
    image = module(meta(BATCH, stylegan2.LATENT))
    assert (image.shape, image.dtype) == ((BATCH, 3, 256, 256), torch.float32)
    halves = {at for at, dtype in seen.items() if dtype == torch.float16}
    assert halves == ({32, 64, 128, 256} if half_resolutions else set())


def test_the_generators_step_trains_the_generator_only() -> None:
    step = on_meta(stylegan2.generator_step, 256)
    assert reached(step, meta(BATCH, stylegan2.LATENT)) == names(step, "generator.")


def test_the_discriminators_step_trains_the_discriminator_only() -> None:
    step = on_meta(stylegan2.discriminator_step, 256)
    inputs = meta(BATCH, 3, 256, 256), meta(BATCH, stylegan2.LATENT)
    assert reached(step, *inputs) == names(step, "discriminator.")


def test_regularisations_differentiate_twice() -> None:
    penalty = on_meta(stylegan2.discriminator_r1, 256)
    # A constant added to the logit has no part in its gradient.
    assert reached(penalty, meta(BATCH, 3, 256, 256)) == names(penalty) - {"discriminator.logit.bias"}
    length = on_meta(stylegan2.generator_path_length, 256)
    # Nor have the constants added to the image.
    without = {f"generator.to_image.{place}.bias" for place in range(7)}
    assert reached(length, meta(BATCH, stylegan2.LATENT)) == names(length) - without


def test_r1_is_the_squared_gradient_of_the_logits() -> None:
    torch.manual_seed(0)
    penalty = stylegan2.discriminator_r1(16, channel_base=128, half_resolutions=0, gamma=2.0)
    images = torch.randn(BATCH, 3, 16, 16)
    step = 1e-2 * torch.randn_like(images)
    images.requires_grad_()
    logits = penalty.discriminator(images).sum()
    (gradient,) = torch.autograd.grad(logits, images)
    assert penalty(images).item() == pytest.approx(gradient.square().sum().item() / BATCH, rel=1e-4)
    with torch.no_grad():
        moved = penalty.discriminator(images + step).sum() - penalty.discriminator(images - step).sum()
    assert moved.item() / 2 == pytest.approx((gradient * step).sum().item(), rel=0.1, abs=1e-4)


def test_demodulation_keeps_the_variance_of_features() -> None:
    torch.manual_seed(0)
    layer = stylegan2.ModulatedConvolution(64, 64, 3, up=False, demodulate=True)
    with torch.no_grad():
        features, factor = layer(torch.randn(2, 64, 32, 32), 3 * torch.randn(2, stylegan2.LATENT))
    assert factor is not None
    inner = (features * factor[:, :, None, None])[..., 1:-1, 1:-1]
    assert inner.std().item() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("down", [False, True])
def test_the_blur_keeps_a_constant(down: bool) -> None:
    blur = stylegan2.Blur()
    x = torch.full((1, 2, 16, 16), 5.0)
    result = blur(x, padding=1, stride=2) if down else blur.enlarge(x)
    assert result.shape[-1] == (8 if down else 32)
    assert torch.allclose(result[..., 2:-2, 2:-2], torch.tensor(5.0))


def test_the_deviation_is_taken_within_groups_of_four() -> None:
    network = stylegan2.discriminator(16, channel_base=128, half_resolutions=0)
    x = torch.zeros(8, 2, 4, 4)
    x[:4] = torch.randn(4, 2, 4, 4)
    # Samples k and k + 2, k + 4, k + 6 form a group: two groups in a batch of eight.
    channel = network._with_deviation(x)[:, -1]
    expected = [x[start::2].std(0, correction=0).mean().item() for start in (0, 1)]
    assert channel[:, 0, 0].tolist() == pytest.approx(expected * 4, abs=1e-3)


@pytest.mark.parametrize(
    ("factory", "inputs"),
    [(dcgan.step, ((3, 64, 64), (100, 1, 1))), (pix2pix.step, ((3, 256, 256), (3, 256, 256)))],
    ids=["dcgan", "pix2pix"],
)
def test_a_step_of_both_networks_trains_both(
    factory: Callable[[], torch.nn.Module], inputs: tuple[tuple[int, ...], ...]
) -> None:
    step = on_meta(factory)
    assert reached(step, *(meta(BATCH, *shape) for shape in inputs)) == names(step)


def test_the_generators_loss_leaves_the_discriminator_alone() -> None:
    torch.manual_seed(0)
    step = dcgan.step()
    images = torch.randn(BATCH, 3, 64, 64, requires_grad=True)
    dcgan.judge_frozen(step.discriminator, images).sum().backward()
    assert images.grad is not None
    assert all(parameter.grad is None for parameter in step.discriminator.parameters())


def test_a_pair_is_judged_by_patches_of_seventy_pixels() -> None:
    torch.manual_seed(0)
    network = pix2pix.discriminator().eval()
    pair = torch.randn(1, 6, 256, 256, requires_grad=True)
    logits = network(pair)
    assert logits.shape == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    assert pair.grad is not None
    seen = pair.grad[0].abs().sum(0).nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [70, 70]


def test_all_parts_of_a_stylegan2_step_can_be_traced() -> None:
    image, latent = InputSpec(shape=(3, 64, 64)), InputSpec(shape=(stylegan2.LATENT,))
    args = {"resolution": 64, "channel_base": 2048}
    parts = (
        ("generator_step", latent, 1.0),
        ("discriminator_step", InputSpec(args=(image, latent)), 1.0),
        ("discriminator_r1", image, 1 / 16),
        ("generator_path_length", latent, 1 / 4),
    )
    model = TorchModel(
        parts=tuple(
            Part(
                factory=f"advisor.zoo.stylegan2:{name}", args=args, input=inputs, loss="output", weight=weight
            )
            for name, inputs, weight in parts
        )
    )
    table = trace_module(model, name="stylegan2-64", tasks=("train",))
    trace = table.trace("train", autocast=False)
    assert trace is not None
    kinds = {(kind_of(row), phase_of(row)) for row in trace.operators}
    for phase in (Phase.FORWARD, Phase.BACKWARD):
        assert {(Kind.CONVOLUTION, phase), (Kind.DEPTHWISE_CONVOLUTION, phase)} <= kinds
    # The regularisations run in a part of the steps only.
    assert {round(row.repeat % 1, 4) for row in trace.operators} > {0.0}
