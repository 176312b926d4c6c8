"""Sequence: what the LSTM reads, and what it makes of it.

The paper says that the CNN's output is the input of an LSTM "as in long-term recurrent
convolutional networks" (Donahue et al. 2015) but not which sequence a still yields.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["FrameMemory", "SequenceReader"]

_LONGEST_S = 2.0  # longer pauses between two frames count as this
_SHORTEST_S = 0.01  # and the unit of time: 25 frames a second lie at log 5


class SequenceReader(nn.Module):
    """An LSTM over a sequence of feature vectors; the network averages over its steps.

    Averaging follows Donahue et al. 2015, section 4.1, who average the predictions of all
    steps: before a linear classifier, averaging features is the same thing.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)

    def forward(self, sequence: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, hidden)."""
        outputs, _ = self.lstm(sequence)
        return outputs  # type: ignore[no-any-return]


class FrameMemory(nn.Module):
    """An LSTM over the frames of a clip: it moves each frame's margins by what went before.

    It reads the features and margins of every frame and the time since the one before, as
    Donahue et al. 2015, section 4, let one read a CNN's features frame by frame. What it adds
    is linear in its units: the SVM sees a frame's features and the memory side by side. It
    starts at zero, so that an untrained memory changes nothing.

    Args:
        features: D.
        classes: K.
        units: H.
    """

    def __init__(self, features: int, classes: int, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.lstm = nn.LSTM(features + classes + 1, units, batch_first=True)
        self.svm = nn.Linear(units, classes, bias=False)

    def forward(
        self, features: Tensor, margins: Tensor, elapsed: Tensor, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The margins with memory, and the state after the last frame.

        Args:
            features: (B, T, D).
            margins: (B, T, K) of the frames alone.
            elapsed: (B, T) seconds since the frame before; 0 for a first frame.
            state: (B, 2, H) after the frames before, hidden and cell; None where there were none.
        """
        seconds = torch.log1p(elapsed.clamp(0.0, _LONGEST_S) / _SHORTEST_S)[..., None]
        read = torch.cat([self.norm(features), margins, seconds], 2)  # (B, T, D + K + 1)
        if state is None:
            state = read.new_zeros(len(read), 2, self.lstm.hidden_size)
        before = (state[:, 0][None].contiguous(), state[:, 1][None].contiguous())
        outputs, (hidden, cell) = self.lstm(read, before)
        return margins + self.svm(outputs), torch.stack([hidden[0], cell[0]], 1)
