"""Sequence: what the LSTM reads, and what it makes of it.

The paper says that the CNN's output is the input of an LSTM "as in long-term recurrent
convolutional networks" (Donahue et al. 2015) but not which sequence a still yields.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SequenceReader"]


class SequenceReader(nn.Module):
    """An LSTM over a sequence of feature vectors, averaged over its steps.

    Averaging follows Donahue et al. 2015, section 4.1, who average the predictions of all
    steps: before a linear classifier, averaging features is the same thing.
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, batch_first=True)

    def forward(self, sequence: Tensor) -> Tensor:
        """(B, L, D) -> (B, hidden)."""
        outputs, _ = self.lstm(sequence)  # (B, L, hidden)
        return outputs.mean(1)  # type: ignore[no-any-return]
