"""Several networks that decide together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facetell.model.hybrid import Hybrid, Output

__all__ = ["Ensemble", "Network"]


class Ensemble(nn.Module):
    """The mean of several networks' margins, each brought to the scale of log-odds first.

    Its scores are the normalised geometric mean of the networks' calibrated scores.

    Args:
        networks: for stills of the same kind, with the same K labels.
        scales: what makes each one's margins log-odds, see `Contract.score_scale`.
    """

    stn = None  # each network straightens for itself: there is no one map to show
    memory = None

    def __init__(self, networks: Sequence[Hybrid], scales: Sequence[float]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.scales = tuple(scales)

    def forward(
        self, faces: Tensor, elapsed: Tensor | None = None, state: Tensor | None = None
    ) -> Output:
        """As `Hybrid.forward`; the features (B, T, D) are those of all networks together."""
        outputs = [network(faces) for network in self.networks]
        margins = [s * o.margins for s, o in zip(self.scales, outputs, strict=True)]
        features = torch.cat([output.features for output in outputs], -1)
        return Output(torch.stack(margins).mean(0), features, None, None)


#: What a run folder may hold.
Network = Hybrid | Ensemble
