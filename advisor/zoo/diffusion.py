"""Denoising networks, from the definitions of the package diffusers."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel, UNet2DConditionModel, UNet2DModel
from torch import nn


class Denoiser(nn.Module):
    """A conditional U-Net called with tensors only; returns the predicted noise."""

    def __init__(self, network: nn.Module, *, pooled: bool = False) -> None:
        super().__init__()
        self.network = network
        self.pooled = pooled

    def forward(
        self, latents: torch.Tensor, step: torch.Tensor, text: torch.Tensor, *more: torch.Tensor
    ) -> Any:
        """Return the noise in ``latents`` at diffusion ``step``, given text embeddings (and pooled ones with sizes)."""
        added: dict[str, Any] = {}
        if self.pooled:
            added["added_cond_kwargs"] = {"text_embeds": more[0], "time_ids": more[1]}
        return self.network(latents, step, text, return_dict=False, **added)[0]


def _prepared(network: Any, checkpointing: bool) -> Any:
    if checkpointing:
        network.enable_gradient_checkpointing()
    return network


def unet_sd15(checkpointing: bool = False) -> nn.Module:
    """Return the U-Net of Stable Diffusion 1.5 (Rombach et al. 2022)."""
    network = UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280, 1280),
        attention_head_dim=8, cross_attention_dim=768,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    return Denoiser(_prepared(network, checkpointing))


def unet_sdxl(checkpointing: bool = False) -> nn.Module:
    """Return the U-Net of Stable Diffusion XL (Podell et al. 2023)."""
    network = UNet2DConditionModel(
        sample_size=128, in_channels=4, out_channels=4, layers_per_block=2, block_out_channels=(320, 640, 1280),
        attention_head_dim=(5, 10, 20), cross_attention_dim=2048, transformer_layers_per_block=(1, 2, 10),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    return Denoiser(_prepared(network, checkpointing), pooled=True)


class LatentTransformer(nn.Module):
    """A diffusion transformer called with tensors only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: torch.Tensor, step: torch.Tensor, label: torch.Tensor) -> Any:
        """Return noise and variance of ``latents`` of a class at diffusion ``step``."""
        return self.network(latents, timestep=step, class_labels=label, return_dict=False)[0]


def dit_xl_2(checkpointing: bool = False) -> nn.Module:
    """Return DiT-XL/2 (Peebles and Xie 2022) for images of 256 x 256 pixels."""
    network = DiTTransformer2DModel(
        num_attention_heads=16, attention_head_dim=72, in_channels=4, out_channels=8, num_layers=28, sample_size=32,
        patch_size=2, num_embeds_ada_norm=1000,
    )  # fmt: skip
    return LatentTransformer(_prepared(network, checkpointing))


class Unconditional(nn.Module):
    """An unconditional U-Net called with tensors only."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor, step: torch.Tensor) -> Any:
        """Return the noise in ``images`` at diffusion ``step``."""
        return self.network(images, step, return_dict=False)[0]


def ddpm_cifar10() -> nn.Module:
    """Return the U-Net of DDPM on CIFAR-10 (Ho et al. 2020, appendix B)."""
    network = UNet2DModel(
        sample_size=32, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"), attention_head_dim=None,
    )  # fmt: skip
    return Unconditional(network)


class Autoencoder(nn.Module):
    """A variational autoencoder that encodes to the mean and decodes."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> Any:
        """Return the reconstructed images."""
        return self.network.decode(self.network.encode(images).latent_dist.mode(), return_dict=False)[0]


def vae_sd() -> nn.Module:
    """Return the autoencoder of Stable Diffusion."""
    network = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, layers_per_block=2, sample_size=256,
        block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    return Autoencoder(network)
