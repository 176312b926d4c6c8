"""Datasets whose file names say who shows which emotion, whatever folders the files lie in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from facetell.datasets.found_faces import cut_to_faces
from facetell.datasets.imagefiles import (
    ImageFile,
    PassedOver,
    first_names,
    image_files,
    read_image_files,
)
from facetell.datasets.labelling import named_labels
from facetell.datasets.sample import Dataset

__all__ = ["Decipher", "are_coded", "read_coded"]

#: A file name -> (emotion, subject), or () for a name of another form.
Decipher = Callable[[str], tuple[str, str] | tuple[()]]


def are_coded(root: Path, decipher: Decipher) -> bool:
    """True if most of the first images below `root` have names of this form."""
    names = first_names(root)
    return 2 * sum(bool(decipher(name)) for name in names) > len(names)


def read_coded(
    root: Path, decipher: Decipher, *, name: str, licence: str, find_faces: bool = False
) -> Dataset:
    """The images below `root`; those with names of another form are counted in a note.

    Args:
        root: all of it is looked through.
        decipher: what a file name says.
        name: of the dataset.
        licence: terms of the data.
        find_faces: the images show more than a face, which is found and cut out.

    Raises:
        DataError: no name of this form, or no image that can be read.
    """
    passed = PassedOver()
    paths: list[Path] = []
    meanings: list[tuple[str, str]] = []
    for path in image_files(root, root, passed):
        if meaning := decipher(path.name):
            paths.append(path)
            meanings.append(meaning)
        else:
            passed.misnamed.append(path.relative_to(root).as_posix())
    labels, left_out = named_labels([emotion for emotion, _ in meanings], str(root))
    files = [
        ImageFile(path=path, label=int(label), subject=subject)
        for path, label, (_, subject) in zip(paths, labels, meanings, strict=True)
    ]
    images = read_image_files(
        files, root, name=name, licence=licence, passed=passed, notes=left_out
    )
    return cut_to_faces(images, root) if find_faces else images
