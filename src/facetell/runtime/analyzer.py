"""Photos -> readings: decode, find faces, cut them out, score them. Streams folders."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facetell.contract import Contract
from facetell.errors import FacetellError, ImageError, InputError
from facetell.faces.crop import crop_faces, whole_face
from facetell.faces.detect import DETECT_SIDE, Detector, WholeImage, make_detector
from facetell.images import MAX_PIXELS, Source, find_images, read_image
from facetell.predictor import Prediction, Predictor
from facetell.results import Detection, Face, Reading
from facetell.runtime import DEFAULT_MODEL
from facetell.runtime.certainty import Doubt
from facetell.runtime.quality import warn
from facetell.runtime.session import BATCH, load

__all__ = ["Analyzer", "Prepared", "read"]
_DECODERS = 2  # threads that decode (and find faces); each holds one decoded photo
_PHOTOS = 8  # photos whose faces are scored together, at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A photo up to its faces. The photo itself is gone.

    Attributes:
        reading: what is known without the model; its faces are still to come.
        detections: N faces.
        crops: (N, S, S, 3) uint8, or None where there is nothing to score.
    """

    reading: Reading
    detections: tuple[Detection, ...] = ()
    crops: NDArray[np.uint8] | None = None


class Analyzer:
    """Reads the expressions of the faces in photos.

    Args:
        model: name of a bundled model, path of an .onnx file, or any Predictor.
        detector: "centerface", "none" (each image is one face), or any Detector.
        detect_side: photos are searched for faces at this size of the longer side, px.
        min_score: faces whose highest score is lower are left out, 0-1.
        threads: threads for the networks; None takes every processor.
        flip: average each face with its mirror image; None does what the model's contract says.
        sets: give each face the set of labels that it may have, so that this share of faces has
            its label in the set: 0.5 to 0.99; None gives no sets.
        abstain: say of each face whether the model is sure, so that it is of about this share of
            faces, 0.1 to 1; None does not say.

    Raises:
        InputError: a number out of its range.
        ContractError: sets or abstention of a model that was not calibrated for them.

    Example:
        analyzer = Analyzer()
        for reading in analyzer.read_many(["holiday/"]):
            print(reading.source, [face.label for face in reading.faces])
    """

    def __init__(
        self,
        model: str | Path | Predictor = DEFAULT_MODEL,
        *,
        detector: Literal["centerface", "none"] | Detector = "centerface",
        detect_side: int = DETECT_SIDE,
        min_score: float = 0.0,
        threads: int | None = None,
        flip: bool | None = None,
        sets: float | None = None,
        abstain: float | None = None,
    ) -> None:
        if isinstance(min_score, bool) or not 0 <= min_score <= 1:
            raise InputError(f"min_score must be from 0 to 1, got {min_score}.")
        if isinstance(model, (str, Path)):
            model = load(model, threads=threads, flip=flip)
        self.model: Predictor = model
        self.detector = make_detector(detector, side=detect_side, threads=threads)
        self.min_score = min_score
        self.doubt = Doubt(self.contract, sets=sets, abstain=abstain)
        self._detecting = threading.Lock()  # other people's detectors may not be thread-safe

    @property
    def contract(self) -> Contract:
        """The model's contract."""
        return self.model.contract

    def read(self, source: Source) -> Reading:
        """The faces in one image and what they look like.

        Args:
            source: a path, the bytes of an image file, or a uint8 RGB array (H, W, 3).

        Raises:
            ImageError: the image cannot be read.
            InputError: the model reads windows of frames, not stills.
        """
        return self.score([self.prepare(source)])[0]

    def read_many(
        self,
        sources: Iterable[Source] | str | Path,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[Reading]:
        """Readings of many images, in their order, as they get ready.

        Memory does not grow with their number: images are decoded a few ahead, and faces are
        scored 64 at a time, across images. An image that cannot be read yields a Reading whose
        `error` says why.

        Args:
            sources: paths, bytes or arrays; a folder stands for all images in it, sorted.
            progress: called with the number of images done, each time it grows.

        Raises:
            InputError: the model reads windows of frames, not stills.
        """
        return self._read_many([sources] if isinstance(sources, (str, Path)) else sources, progress)

    def detect(self, image: NDArray[np.uint8]) -> tuple[Detection, ...]:
        """Where the faces of an RGB image are, largest first; for any number of threads.

        Args:
            image: (H, W, 3) uint8.
        """
        with self._detecting:
            return self.detector.detect(image)

    def _read_many(
        self, sources: Iterable[Source], progress: Callable[[int], None] | None
    ) -> Iterator[Reading]:
        done = 0
        for batch in self._batches(self._prepare_ahead(_each_image(sources))):
            for reading in self._score(batch):
                done += 1
                if progress is not None:
                    progress(done)
                yield reading

    def prepare(
        self, source: Source, *, max_pixels: int = MAX_PIXELS, max_faces: int | None = None
    ) -> Prepared:
        """The first half of `read`: one image decoded, its faces found and cut out.

        For those who gather faces from several places before they call the model, as a server
        does. Several threads may call it at once.

        Args:
            source: a path, the bytes of an image file, or a uint8 RGB array (H, W, 3).
            max_pixels: larger images are refused by their header, before decoding.
            max_faces: images with more faces are refused; None takes any number.

        Raises:
            ImageError: the image cannot be read, or has more than `max_faces` faces.
        """
        image = read_image(source, max_pixels=max_pixels)
        size_wh = (image.shape[1], image.shape[0])
        reading = Reading(source=_name(source), size_wh=size_wh, faces=(), model=self.contract.name)
        if isinstance(self.detector, WholeImage):
            crops = whole_face(image, self.contract.face_px)[None]
            return Prepared(reading=reading, detections=self.detector.detect(image), crops=crops)
        detections = self.detect(image)
        _check_count(source, len(detections), max_faces)
        crops = crop_faces(image, detections, self.contract)
        return Prepared(reading=reading, detections=detections, crops=crops)

    def score(self, prepared: Sequence[Prepared]) -> tuple[Reading, ...]:
        """The second half of `read`: the faces of all these images in one call of the model."""
        return tuple(self._score(prepared))

    def _find_each(self, sources: list[Source]) -> list[Prepared]:
        return [self._find_or_say_why(source) for source in sources]

    def _find_or_say_why(self, source: Source) -> Prepared:
        try:
            return self.prepare(source)
        except FacetellError as error:
            return Prepared(
                reading=Reading(
                    source=_name(source),
                    size_wh=(0, 0),
                    faces=(),
                    model=self.contract.name,
                    error=str(error),
                )
            )

    def _prepare_ahead(self, sources: Iterator[Source]) -> Iterator[Prepared]:
        """Prepared photos in order, a few ahead of the one asked for."""
        # One task a photo; but face crops are so small that the tasks would cost more than they.
        chunk = 16 if isinstance(self.detector, WholeImage) else 1
        ahead: deque[Future[list[Prepared]]] = deque()
        pool = ThreadPoolExecutor(_DECODERS, thread_name_prefix="facetell-decode")
        try:
            while True:
                while len(ahead) < 2 * _DECODERS:
                    part = list(islice(sources, chunk))
                    if not part:
                        break
                    ahead.append(pool.submit(self._find_each, part))
                if not ahead:
                    return
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _batches(self, photos: Iterator[Prepared]) -> Iterator[list[Prepared]]:
        """Runs of photos with about BATCH faces together."""
        most = BATCH if isinstance(self.detector, WholeImage) else _PHOTOS
        batch: list[Prepared] = []
        faces = 0
        for photo in photos:
            batch.append(photo)
            faces += len(photo.detections)
            if faces >= BATCH or len(batch) >= most:
                yield batch
                batch, faces = [], 0
        if batch:
            yield batch

    def _score(self, batch: Sequence[Prepared]) -> Iterator[Reading]:
        """Readings of a batch, with one call of the model for all its faces."""
        crops = [photo.crops for photo in batch if photo.crops is not None]
        scored = self.model.predict(np.concatenate(crops)) if crops else None
        row = 0
        for photo in batch:
            if scored is None or not photo.detections:
                yield photo.reading
                continue
            rows = slice(row, row + len(photo.detections))
            row = rows.stop
            faces = _faces(photo.detections, scored, rows, self.contract)
            assert photo.crops is not None
            warnings = warn(photo.crops, photo.detections)
            faces = (
                self.doubt.about(replace(face, warnings=found))
                for face, found in zip(faces, warnings, strict=True)
            )
            kept = tuple(face for face in faces if max(face.scores.values()) >= self.min_score)
            yield replace(photo.reading, faces=kept)


def read(
    source: Source,
    *,
    model: str | Path | Predictor = DEFAULT_MODEL,
    detector: Literal["centerface", "none"] | Detector = "centerface",
) -> Reading:
    """The faces in one image and what they look like, in one call.

    Loads the model each time; for more than one image make an `Analyzer`.

    Raises:
        ImageError: the image cannot be read.
    """
    return Analyzer(model, detector=detector).read(source)


def _each_image(sources: Iterable[Source]) -> Iterator[Source]:
    for source in sources:
        if isinstance(source, (str, Path)):
            yield from find_images([source])
        else:
            yield source


def _name(source: Source) -> str:
    return str(source) if isinstance(source, (str, Path)) else ""


def _check_count(source: Source, faces: int, most: int | None) -> None:
    if most is not None and faces > most:
        raise ImageError(
            f"{_name(source) or 'image'}: expected at most {most} faces, got {faces}. "
            "Send parts of the image, or raise max_faces.",
            expected=most,
            actual=faces,
        )


def _faces(
    detections: tuple[Detection, ...], scored: Prediction, rows: slice, contract: Contract
) -> Iterator[Face]:
    margins, scores = scored.margins[rows].tolist(), scored.scores[rows].tolist()
    for detection, face_margins, face_scores in zip(detections, margins, scores, strict=True):
        best, second = sorted(face_scores, reverse=True)[:2]
        yield Face(
            box_xyxy=detection.box_xyxy,
            label=contract.labels[face_scores.index(best)],
            scores=dict(zip(contract.labels, face_scores, strict=True)),
            margins=dict(zip(contract.labels, face_margins, strict=True)),
            margin=best - second,
            detector_score=detection.score,
            landmarks_xy=detection.landmarks_xy,
        )
