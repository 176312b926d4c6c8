"""Draw one drawn face under every corruption at every severity: docs/images/corruptions.jpg.

python scripts/corruption_sheet.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facetell.datasets.toon import make_toon
from facetell.evaluate.corruptions.catalogue import CORRUPTIONS
from facetell.report.robustness import strip

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "corruptions.jpg"
SIDE, NAME_PX, COLUMNS = 48, 100, 2


def main() -> None:
    face = make_toon(characters=3, per_emotion=1).faces([3], channels=3)
    rows = -(-len(CORRUPTIONS) // COLUMNS)
    width = NAME_PX + 6 * SIDE
    sheet = Image.new("RGB", (COLUMNS * width, rows * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for at, (name, kind) in enumerate(CORRUPTIONS.items()):
        left, top = at // rows * width, at % rows * SIDE
        pen.text((left + 6, top + 18), kind.title, "black", ImageFont.load_default(11))
        worse = strip(face, name, seed=0, indices=np.arange(1))
        shown = np.concatenate([face[0], worse], axis=1)
        sheet.paste(Image.fromarray(shown), (left + NAME_PX, top))
    sheet.save(TARGET, quality=80)
    print(TARGET)


if __name__ == "__main__":
    main()
