"""Deep Speech 2: two convolutions over the spectrogram and five bidirectional GRU layers.

Source: Amodei et al. 2016 (arXiv:1512.02595, section 3), with 800 units a direction. The CTC loss is replaced by the
cross-entropy of a given alignment: its sums over alignments are small beside the recurrent layers.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class RecurrentLayer(nn.Module):
    """Batch normalisation of the input and a GRU whose directions are summed."""

    def __init__(self, inputs: int, hidden: int, *, normalised: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(inputs) if normalised else nn.Identity()
        self.recurrent = nn.GRU(inputs, hidden, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, batch x frames x hidden."""
        x = self.norm(x.flatten(0, 1)).view(x.shape)
        first, second = self.recurrent(x)[0].chunk(2, dim=-1)
        return first + second


class DeepSpeech2(nn.Module):
    """Convolutions, recurrent layers and a linear layer to characters."""

    def __init__(self, frequencies: int, hidden: int, layers: int, characters: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, (41, 11), (2, 2), (20, 5)), nn.BatchNorm2d(32), nn.Hardtanh(0, 20, inplace=True),
            nn.Conv2d(32, 32, (21, 11), (2, 1), (10, 5)), nn.BatchNorm2d(32), nn.Hardtanh(0, 20, inplace=True),
        )  # fmt: skip
        inputs = 32 * ((frequencies + 3) // 4)
        self.recurrent = nn.Sequential(
            RecurrentLayer(inputs, hidden, normalised=False),
            *(RecurrentLayer(hidden, hidden, normalised=True) for _ in range(layers - 1)),
        )
        self.norm = nn.BatchNorm1d(hidden)
        self.characters = nn.Linear(hidden, characters, bias=False)

    def forward(self, spectrogram: Tensor, alignment: Tensor) -> Tensor:
        """Return the loss.

        Args:
            spectrogram: batch x 1 x frequencies x frames.
            alignment: a character or the blank for every second frame.
        """
        x = self.convolutions(spectrogram).flatten(1, 2).transpose(1, 2)
        x = self.norm(self.recurrent(x).flatten(0, 1))
        return functional.cross_entropy(self.characters(x), alignment.flatten())


def build() -> nn.Module:
    """Return Deep Speech 2 for 161 frequencies and 29 characters: five bidirectional GRU layers of 800."""
    return DeepSpeech2(161, 800, 5, 29)
