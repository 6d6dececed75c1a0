"""Speech encoders, from the definitions of the package transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2Model


class Encoder(nn.Module):
    """wav2vec 2.0 called with a waveform; returns its last hidden state."""

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__()
        self.network = Wav2Vec2Model(config)

    def forward(self, waveform: torch.Tensor) -> Any:
        """Return features of ``waveform`` (batch x samples at 16 kHz)."""
        return self.network(waveform, return_dict=False)[0]


def _config(**sizes: Any) -> Wav2Vec2Config:
    return Wav2Vec2Config(apply_spec_augment=False, mask_time_prob=0.0, layerdrop=0.0, **sizes)


def base() -> nn.Module:
    """Return wav2vec 2.0 base (Baevski et al. 2020)."""
    return Encoder(_config())


def large() -> nn.Module:
    """Return wav2vec 2.0 large (Baevski et al. 2020)."""
    sizes = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    }
    return Encoder(_config(do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True, **sizes))
