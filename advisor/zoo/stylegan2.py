"""StyleGAN2, configuration F, and the four losses that its training alternates.

Sources: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN" (arXiv:1912.04958), for the
networks and the regularisations; Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data"
(arXiv:2006.06676, appendix C) for half precision in the highest resolutions. What a library fuses into one kernel
(bias, leaky ReLU and gain) takes two kernels here and keeps as much for the backward pass. Style mixing, augmentation,
the clamp of half-precision features and the moving average of the generator are left out: they cost little.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT = 512
"""Numbers in the latent codes z and w."""
SLOPE = 0.2
"""Of the leaky ReLU below zero."""
GAIN = math.sqrt(2)
"""Keeps the variance of features behind a leaky ReLU."""
EPSILON = 1e-8


def widths(resolution: int, channel_base: int, channel_max: int = 512) -> dict[int, int]:
    """Return the channels of each resolution from 4 upwards: ``channel_base`` over it, at most the maximum."""
    exponents = range(2, resolution.bit_length())
    return {2**exponent: min(channel_base // 2**exponent, channel_max) for exponent in exponents}


def compute_dtype(at: int, resolution: int, half_resolutions: int) -> torch.dtype:
    """Return the format of the features at one resolution: fp16 in the ``half_resolutions`` highest."""
    return torch.float16 if at * 2**half_resolutions > resolution else torch.float32


class Linear(nn.Module):
    """A linear layer with an equalised learning rate: the weight is scaled when it is used."""

    def __init__(
        self, inputs: int, outputs: int, *, activate: bool, rate: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale = rate / math.sqrt(inputs)
        self.rate = rate
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the width ``outputs``."""
        bias = self.bias if self.rate == 1 else self.bias * self.rate
        x = functional.linear(x, self.weight * self.scale, bias)
        return functional.leaky_relu_(x, SLOPE) * GAIN if self.activate else x


class Blur(nn.Module):
    """The low-pass filter [1, 3, 3, 1] in both directions, a depthwise convolution; it has no parameters."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", taps[:, None] * taps[None, :])

    def forward(self, x: Tensor, *, padding: int, stride: int = 1) -> Tensor:
        """Return filtered features, every ``stride``-th of them."""
        return functional.conv2d(x, self._weight(x), stride=stride, padding=padding, groups=x.shape[1])

    def enlarge(self, x: Tensor) -> Tensor:
        """Return features of twice the extent, interpolated by the filter."""
        return functional.conv_transpose2d(x, 4 * self._weight(x), stride=2, padding=1, groups=x.shape[1])

    def _weight(self, x: Tensor) -> Tensor:
        return self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)


class ModulatedConvolution(nn.Module):
    """A convolution whose input channels are scaled by a style (section 2.2 of the first paper).

    The features are scaled before and after one convolution that the batch shares, as is usual in training with half
    precision; the weights of a grouped convolution are not.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, up: bool, demodulate: bool) -> None:
        super().__init__()
        self.style = Linear(LATENT, inputs, activate=False, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.blur = Blur()
        self.up = up
        self.demodulate = demodulate
        self.scale = 1.0 if demodulate else 1 / math.sqrt(inputs * size**2)

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return features, and the factor of each sample's channels by which demodulation multiplies them."""
        style = self.style(w) * self.scale
        factor = None
        if self.demodulate:
            # The weights of every sample are formed, as in equation 3: published peaks of memory include them.
            scaled = self.weight[None] * style[:, None, :, None, None]
            factor = torch.rsqrt(scaled.square().sum((2, 3, 4)) + EPSILON)
        x = x * style.to(x.dtype)[:, :, None, None]
        weight = self.weight.to(x.dtype)
        if not self.up:
            return functional.conv2d(x, weight, padding=weight.shape[-1] // 2), factor
        x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return self.blur(x, padding=1) * 4, factor


class SynthesisLayer(nn.Module):
    """A modulated convolution, demodulation, noise, bias and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, *, up: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 3, up=up, demodulate=True)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return features; every call draws new noise."""
        x, factor = self.convolution(x, w)
        noise = torch.randn((x.shape[0], 1, *x.shape[2:]), device=x.device) * (self.noise_strength * GAIN)
        # A leaky ReLU commutes with a positive factor, so the gain is put on the small tensors before it.
        scale = (factor * GAIN).to(x.dtype)[:, :, None, None]
        x = torch.addcmul(noise.to(x.dtype), x, scale)
        x = x.add_((self.bias * GAIN).to(x.dtype)[:, None, None])
        return functional.leaky_relu_(x, SLOPE)


class ToImage(nn.Module):
    """The contribution of one resolution to the image."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, 3, 1, up=False, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return three channels in fp32."""
        x, _ = self.convolution(x, w)
        return (x + self.bias.to(x.dtype)[:, None, None]).float()


class Generator(nn.Module):
    """Mapping network and synthesis network with output skips."""

    def __init__(self, resolution: int, channel_base: int, half_resolutions: int) -> None:
        super().__init__()
        channels = widths(resolution, channel_base)
        steps = list(pairwise(channels.values()))
        self.mapping = nn.Sequential(*(Linear(LATENT, LATENT, activate=True, rate=0.01) for _ in range(8)))
        self.constant = nn.Parameter(torch.randn(channels[4], 4, 4))
        self.first = SynthesisLayer(channels[4], channels[4], up=False)
        self.enlarging = nn.ModuleList(SynthesisLayer(start, end, up=True) for start, end in steps)
        self.same = nn.ModuleList(SynthesisLayer(end, end, up=False) for _, end in steps)
        self.to_image = nn.ModuleList(ToImage(width) for width in channels.values())
        self.blur = Blur()
        self.dtypes = [compute_dtype(at, resolution, half_resolutions) for at in channels]

    def styles(self, z: Tensor) -> Tensor:
        """Return w of shape (batch, layers, latent), the same for every layer of a sample."""
        w = self.mapping(z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPSILON))
        return w[:, None].repeat(1, 2 * len(self.dtypes), 1)

    def synthesise(self, styles: Tensor) -> Tensor:
        """Return images in fp32."""
        w = styles.unbind(1)
        x = self.constant.to(self.dtypes[0]).expand(styles.shape[0], -1, -1, -1)
        x = self.first(x, w[0])
        image = self.to_image[0](x, w[1])
        blocks = zip(self.enlarging, self.same, self.to_image[1:], self.dtypes[1:], strict=True)
        for place, (enlarging, same, to_image, dtype) in enumerate(blocks):
            x = enlarging(x.to(dtype), w[2 * place + 1])
            x = same(x, w[2 * place + 2])
            image = self.blur.enlarge(image) + to_image(x, w[2 * place + 3])
        return image

    def forward(self, z: Tensor) -> Tensor:
        """Return the images of latent codes."""
        return self.synthesise(self.styles(z))


class Convolution(nn.Module):
    """A convolution with an equalised learning rate; going down a resolution it blurs first."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, down: bool, activate: bool, gain: float
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        self.blur = Blur()
        self.down = down
        self.gain = gain
        self.scale = gain / math.sqrt(inputs * size**2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the extent when going down, else of the same."""
        weight = (self.weight * self.scale).to(x.dtype)
        size = weight.shape[-1]
        if self.down and size == 1:
            x = functional.conv2d(self.blur(x, padding=1, stride=2), weight)
        elif self.down:
            x = functional.conv2d(self.blur(x, padding=2), weight, stride=2)
        else:
            x = functional.conv2d(x, weight, padding=size // 2)
        if self.bias is None:
            return x
        x = x.add_((self.bias * self.gain).to(x.dtype)[:, None, None])
        return functional.leaky_relu_(x, SLOPE)


class ResidualBlock(nn.Module):
    """Two convolutions and a skip path, from one resolution to the next lower one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # Both paths carry half of the variance, so that their sum needs no scaling.
        half = math.sqrt(0.5)
        self.first = Convolution(inputs, inputs, 3, down=False, activate=True, gain=GAIN)
        self.second = Convolution(inputs, outputs, 3, down=True, activate=True, gain=GAIN * half)
        self.skip = Convolution(inputs, outputs, 1, down=True, activate=False, gain=half)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of half the extent."""
        result: Tensor = self.skip(x) + self.second(self.first(x))
        return result


class Discriminator(nn.Module):
    """Residual discriminator; its last layers see the standard deviation within groups of the batch."""

    GROUP = 4
    """Samples whose standard deviation is taken; divides the batch."""

    def __init__(self, resolution: int, channel_base: int, half_resolutions: int) -> None:
        super().__init__()
        channels = widths(resolution, channel_base)
        steps = list(pairwise(reversed(channels.values())))
        self.from_image = Convolution(3, channels[resolution], 1, down=False, activate=True, gain=GAIN)
        self.blocks = nn.ModuleList(ResidualBlock(start, end) for start, end in steps)
        self.last = Convolution(channels[4] + 1, channels[4], 3, down=False, activate=True, gain=GAIN)
        self.hidden = Linear(16 * channels[4], channels[4], activate=True)
        self.logit = Linear(channels[4], 1, activate=False)
        self.dtypes = [compute_dtype(at, resolution, half_resolutions) for at in reversed(channels) if at > 4]

    def forward(self, image: Tensor) -> Tensor:
        """Return a logit for each image."""
        x = self.from_image(image.to(self.dtypes[0]))
        for block, dtype in zip(self.blocks, self.dtypes, strict=True):
            x = block(x.to(dtype))
        x = self.last(self._with_deviation(x.float()))
        logits: Tensor = self.logit(self.hidden(x.flatten(1)))
        return logits

    def _with_deviation(self, x: Tensor) -> Tensor:
        """Return features with one more channel: the mean standard deviation of the sample's group."""
        batch, _, height, width = x.shape
        groups = x.unflatten(0, (min(self.GROUP, batch), -1))
        spread = (groups.var(0, correction=0) + EPSILON).sqrt().mean((1, 2, 3))
        channel = spread.repeat(batch // spread.shape[0])[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat((x, channel), dim=1)


class GeneratorStep(nn.Module):
    """The generator's loss; gradients pass through the discriminator, whose parameters are frozen."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator.requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        """Return the non-saturating logistic loss of latent codes."""
        return functional.softplus(-self.discriminator(self.generator(z))).mean()


class DiscriminatorStep(nn.Module):
    """The discriminator's loss; the generator runs without gradients."""

    def __init__(self, generator: Generator, discriminator: Discriminator) -> None:
        super().__init__()
        self.generator = generator.requires_grad_(False)
        self.discriminator = discriminator

    def forward(self, images: Tensor, z: Tensor) -> Tensor:
        """Return the logistic loss of real images and as many generated ones."""
        with torch.no_grad():
            generated = self.generator(z)
        loss = functional.softplus(self.discriminator(generated)).mean()
        return loss + functional.softplus(-self.discriminator(images)).mean()


class GradientPenalty(nn.Module):
    """R1: the squared gradient of the logits by real images (Mescheder et al. 2018, arXiv:1801.04406)."""

    def __init__(self, discriminator: Discriminator, gamma: float) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.gamma = gamma

    def forward(self, images: Tensor) -> Tensor:
        """Return the penalty, which is differentiable by the discriminator's parameters."""
        images = images.detach().requires_grad_()
        logits = self.discriminator(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean() * (self.gamma / 2)


class PathLength(nn.Module):
    """Path length regularisation (section 3.2 of the first paper)."""

    mean: Tensor
    SHRINK = 2
    """The batch is divided by this."""
    DECAY = 0.01
    """Weight of a batch in the moving average of lengths."""
    WEIGHT = 2.0

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        """Return the penalty on a part of the latent codes."""
        styles = self.generator.styles(z[: z.shape[0] // self.SHRINK])
        images = self.generator.synthesise(styles)
        direction = torch.randn(images.shape, device=images.device) / math.sqrt(
            images.shape[2] * images.shape[3]
        )
        (gradient,) = torch.autograd.grad((images * direction).sum(), styles, create_graph=True)
        lengths = gradient.square().sum(2).mean(1).sqrt()
        mean = self.mean.lerp(lengths.detach().mean(), self.DECAY)
        self.mean.copy_(mean)
        return (lengths - mean).square().mean() * self.WEIGHT


def generator(resolution: int, channel_base: int = 32768, half_resolutions: int = 4) -> Generator:
    """Return the generator.

    Args:
        resolution: of the square images, pixels; a power of two.
        channel_base: channels times resolution, up to 512 channels (the smaller form for 256 pixels has 16384).
        half_resolutions: how many of the highest resolutions compute in fp16; 0: everything in fp32.
    """
    return Generator(resolution, channel_base, half_resolutions)


def discriminator(resolution: int, channel_base: int = 32768, half_resolutions: int = 4) -> Discriminator:
    """Return the discriminator; arguments as in :func:`generator`."""
    return Discriminator(resolution, channel_base, half_resolutions)


def generator_step(resolution: int, channel_base: int = 32768, half_resolutions: int = 4) -> GeneratorStep:
    """Return the part of every step that trains the generator; arguments as in :func:`generator`."""
    sizes = (resolution, channel_base, half_resolutions)
    return GeneratorStep(Generator(*sizes), Discriminator(*sizes))


def discriminator_step(
    resolution: int, channel_base: int = 32768, half_resolutions: int = 4
) -> DiscriminatorStep:
    """Return the part of every step that trains the discriminator; arguments as in :func:`generator`."""
    sizes = (resolution, channel_base, half_resolutions)
    return DiscriminatorStep(Generator(*sizes), Discriminator(*sizes))


def discriminator_r1(
    resolution: int, channel_base: int = 32768, half_resolutions: int = 4, gamma: float = 10.0
) -> GradientPenalty:
    """Return the discriminator's regularisation, run every 16th step; ``gamma`` is its weight."""
    return GradientPenalty(Discriminator(resolution, channel_base, half_resolutions), gamma)


def generator_path_length(
    resolution: int, channel_base: int = 32768, half_resolutions: int = 4
) -> PathLength:
    """Return the generator's regularisation, run every 4th step; arguments as in :func:`generator`."""
    return PathLength(Generator(resolution, channel_base, half_resolutions))
