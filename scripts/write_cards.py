"""Measure bundled models and write their cards: src/facetell/models/NAME.md.

    python scripts/write_cards.py --data FER2013 [NAME ...]

Every number of a card comes from here; nothing in a card is typed by hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from facetell.contract import Contract
from facetell.datasets import open_dataset
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import split
from facetell.evaluate.evaluation import METRICS, Evaluation, evaluate
from facetell.evaluate.sureness import Sureness
from facetell.evaluate.table import NAMES, in_paper_order, show_interval, show_value
from facetell.runtime.session import bundled_models, load
from facetell.runtime.speed import measure_speed

CARD = """# {name}

{architecture}.
Reads {face_px}-pixel {colour} faces and scores seven emotions: {labels}.
{parameters:,} parameters, {multiply_adds:.1f} million multiply-adds per face, {megabytes:.2f} MB.

Trained by recipe `{recipe}`: `facetell train {recipe} --data PATH`.

## Data and protocol

Trained on the {train:,} Training faces of FER2013, from scratch, with seed {seed} (one run).
Selected on the {validation:,} PublicTest faces and calibrated on the {calibrated:,} of them that
show different photographs, none of which the training faces hold; the numbers below are measured on
the same faces, so they are a little too good.
PrivateTest was not touched.

## Numbers on PublicTest

95 % intervals from {resamples:,} bootstrap resamples, near-copies redrawn together.
`clean` leaves out the faces of which the training faces hold a near-copy.
With flip: margins of the face and of its mirror image are averaged.

| metric | {columns} |
|---|{rules}
{rows}

Cross-fitted on the {distinct:,} clean faces of different photographs, with flip:
{sureness}
docs/uncertainty.md says what this means.

Recall by emotion, official, with flip:

| emotion | faces | recall | 95 % interval |
|---|---|---|---|
{recalls}

Regenerate: `python scripts/write_cards.py --data FER2013 {name}`, or one number with
`facetell evaluate {name} --data FER2013 --protocol official`.

## Speed

One thread, one face, without flip: {single:.2f} ms; in batches of 64: {batch:.2f} ms per face
(`facetell bench {name}`; a shared two-core machine, so use ratios).

## Limits

- FER2013 has no subject ids and no demographic labels; how well the model works for a group of
  people is unknown. Measure it on your own labelled faces.
- Its labels are noisy: ten annotators asked again agree with them on 63 of 100 faces.
- Fear and sad are confused most. Profiles, strong occlusion and faces below 24 pixels were not
  measured.
- A score says how a face looks to annotators, not what a person feels.

## Uses the law forbids or binds

The EU AI Act prohibits inferring emotions of people at work or in education, except for medical
or safety reasons (Art. 5(1)(f)), and obliges whoever deploys emotion recognition elsewhere to tell
the people exposed to it (Art. 50). See docs/law.md. Not legal advice.

## Licence

Code: MIT. The FER2013 images were collected from the web and come without a licence; they are
generally treated as research only, and are not part of this package. Whether that binds
weights trained on them is not settled: get advice before commercial use.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure bundled models, write their cards.")
    parser.add_argument("names", nargs="*", default=list(bundled_models()))
    parser.add_argument("--data", required=True, help="FER2013 in any form")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.data)
    for name in arguments.names:
        path = bundled_models()[name]
        card = path.with_suffix(".md")
        card.write_text(describe(name, path, dataset))
        print(card)


def describe(name: str, path: Path, dataset: Dataset) -> str:
    """The card of one model."""
    plain, flipped = load(name, flip=False), load(name, flip=True)
    sides = {protocol: split(dataset, protocol) for protocol in ("official", "clean")}
    judged = {
        "all, with flip": evaluate(flipped, dataset, sides["official"]),
        "all, without flip": evaluate(plain, dataset, sides["official"]),
        "clean, with flip": evaluate(flipped, dataset, sides["clean"]),
    }
    first = judged["all, with flip"]
    contract: Contract = flipped.contract
    found = judged["clean, with flip"].sureness[-1]
    speed = measure_speed(path, threads=1)
    return CARD.format(
        name=name,
        architecture=contract.architecture[0].upper() + contract.architecture[1:],
        face_px=contract.face_px,
        colour="grey" if contract.channels == 1 else "RGB",
        labels=", ".join(contract.labels),
        parameters=contract.parameters,
        multiply_adds=contract.multiply_adds / 1e6,
        megabytes=path.stat().st_size / 1e6,
        recipe=contract.recipe,
        train=len(sides["official"].train),
        calibrated=contract.certainty.faces if contract.certainty else 0,
        validation=len(sides["official"].validation),
        seed=0,
        resamples=first.resamples,
        columns=" | ".join(f"{k} (n = {e.n:,})" for k, e in judged.items()),
        rules="---|" * len(judged),
        rows="\n".join(_row(metric, list(judged.values())) for metric in METRICS),
        recalls=_recalls(first),
        distinct=found.n,
        sureness=_sureness(found),
        single=speed.single_ms,
        batch=speed.batch_ms,
    )


def _row(metric: str, evaluations: list[Evaluation]) -> str:
    cells = [
        f"{show_value(metric, e.metrics[metric].value)} "
        f"({show_interval(metric, e.metrics[metric])})"
        for e in evaluations
    ]
    return f"| {NAMES[metric]} | " + " | ".join(cells) + " |"


def _sureness(found: Sureness) -> str:
    ninety = next(row for row in found.sets if row.level == 0.9)
    seventy = next(row for row in found.answers if row.asked == 0.7)
    return (
        f"calibration error {100 * found.calibration_error:.2f} % "
        f"({100 * found.calibration_floor:.2f} % by chance);\n"
        f"sets at 90 % hold the label of {100 * ninety.coverage:.1f} % of faces with "
        f"{ninety.size:.2f} labels, of the worst emotion {100 * ninety.worst:.1f} %;\n"
        f"accuracy {100 * seventy.accuracy:.1f} % when 70 % of the faces are answered."
    )


def _recalls(evaluation: Evaluation) -> str:
    lines = []
    for index in in_paper_order(evaluation.labels):
        score = evaluation.per_class[index]
        assert score.recall is not None
        lines.append(
            f"| {score.label} | {score.support} | {100 * score.recall.value:.1f} % | "
            f"{100 * score.recall.low:.1f} to {100 * score.recall.high:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
