"""Stretches of labelled clips, for the LSTM over frames: how expressions grow and fade."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facetell.contract import Contract
from facetell.datasets.clipfaces import ClipFaces, CutClips, Cutting
from facetell.datasets.clipfolders import LabelledClips, divide
from facetell.errors import DataError
from facetell.evaluate.judged import score_columns
from facetell.train.pseudoclips import Clips

__all__ = ["ClipSides", "Stretches", "with_clips"]


class Stretches:
    """The faces of labelled clips in memory, handed out in stretches of T frames.

    A clip of fewer frames stands still at its end. Every frame has the clip's label.

    Args:
        clips: one side of a set.
        contract: which faces the network takes, and the order of its labels.
        progress: called with (clips done, clips in all) while faces are cut out.

    Attributes:
        notes: which clips could not be used.

    Raises:
        ContractError: the clips have other labels than the network.
        DataError: not one clip shows a face.
    """

    def __init__(
        self,
        clips: LabelledClips,
        contract: Contract,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        columns = torch.tensor(score_columns(contract, clips.labels, clips.name))
        cut = CutClips(clips.clips, Cutting.of(contract), progress=progress)
        self._clips: list[ClipFaces] = []
        targets = []
        for clip, faces in cut:
            self._clips.append(faces)
            targets.append(clip.target)
        self.notes = cut.notes
        if not self._clips:
            raise DataError(
                f"expected clips of {clips.name} with a face, got none of {len(clips)}: "
                f"{'; '.join(cut.notes)}. Look at one of them with `facetell read`.",
                path=clips.source,
            )
        self._targets = columns[torch.tensor(targets)]

    def __len__(self) -> int:
        return len(self._clips)

    def draw(self, count: int, frames: int, generator: torch.Generator) -> Clips:
        """Random stretches of random clips, half of them mirrored, half at half the rate."""
        chosen = torch.randint(len(self), (count,), generator=generator)
        draw = torch.rand(count, 3, generator=generator)
        stretches = []
        for clip, (start, rate, mirror) in zip(chosen.tolist(), draw.tolist(), strict=True):
            step = 1 if rate < 0.5 else 2
            room = max(0, len(self._clips[clip]) - step * (frames - 1) - 1)
            faces, elapsed = self._stretch(clip, round(start * room), step, frames)
            stretches.append((faces.flip(-1) if mirror < 0.5 else faces, elapsed))
        return self._together(stretches, self._targets[chosen])

    def middles(self, frames: int) -> Clips:
        """The middle of every clip, to choose an epoch and calibrate by."""
        stretches = [
            self._stretch(clip, max(0, len(faces) - frames) // 2, 1, frames)
            for clip, faces in enumerate(self._clips)
        ]
        return self._together(stretches, self._targets)

    def _stretch(self, clip: int, start: int, step: int, frames: int) -> tuple[Tensor, Tensor]:
        """Faces (T, S, S) and seconds since the frame before (T,)."""
        found = self._clips[clip]
        at = (start + step * torch.arange(frames)).clamp(max=len(found) - 1)
        times = torch.from_numpy(found.times_s)[at].float()
        elapsed = torch.diff(times, prepend=times[:1])
        moving = elapsed[1:][elapsed[1:] > 0]
        usual = float(moving.median()) if len(moving) else 0.04
        elapsed[1:][elapsed[1:] == 0] = usual  # it stands still, time goes on
        return torch.from_numpy(found.faces)[at], elapsed

    def _together(self, stretches: list[tuple[Tensor, Tensor]], targets: Tensor) -> Clips:
        frames = torch.stack([faces for faces, _ in stretches])
        elapsed = torch.stack([elapsed for _, elapsed in stretches])
        return Clips(frames, elapsed, targets[:, None].expand(elapsed.shape).contiguous())


class ClipSides:
    """Labelled clips, divided: stretches to learn from and stretches to choose by.

    A set without a validation side of its own is chosen by clips made of stills alone.

    Args:
        clips: all of them; those without sides are divided by subjects.
        contract: of the network.
        seed: of the division.
        progress: as for `Stretches`.

    Attributes:
        train, validation: the stretches; None where there is no such side.
    """

    def __init__(
        self,
        clips: LabelledClips,
        contract: Contract,
        *,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._divided = divide(clips, seed=seed)
        self.train = Stretches(self._divided.on("train"), contract, progress=progress)
        held_out = any(clip.side == "validation" for clip in self._divided.clips)
        self.validation = (
            Stretches(self._divided.on("validation"), contract, progress=progress)
            if held_out
            else None
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and what is not known, one sentence each."""
        held_out = () if self.validation is None else self.validation.notes
        return (*self._divided.notes, *self.train.notes, *held_out)

    def about(self) -> dict[str, Any]:
        """What a run's record and a model's contract say of them."""
        return {
            "name": self._divided.name,
            "train": len(self.train),
            "validation": 0 if self.validation is None else len(self.validation),
            "digest": _digest(self._divided),
            "licence": self._divided.licence,
        }


def with_clips(contract: Contract, filmed: ClipSides) -> Contract:
    """The contract of a network that learns from these clips, too."""
    about = filmed.about()
    licence = about.pop("licence")
    return replace(
        contract,
        data={**contract.data, "clips": about},
        training=(
            *contract.training,
            f"{about['train']:,} clips of {about['name']} to train on, "
            f"{about['validation']:,} of other people to select and calibrate on",
        ),
        licence=f"{contract.licence} Clips: {licence or 'terms unknown'}",
    )


def _digest(clips: LabelledClips) -> str:
    """Names, sizes, labels and sides of the clips, in 16 hexadecimal digits."""
    root = Path(clips.source)
    lines = [
        f"{clip.path.relative_to(root).as_posix()} {clip.path.stat().st_size} "
        f"{clips.labels[clip.target]} {clip.side}"
        for clip in clips.clips
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
