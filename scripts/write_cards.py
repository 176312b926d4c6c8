"""Measure bundled models and write their cards: src/facetell/models/NAME.md.

    python scripts/write_cards.py --data FER2013 [NAME ...]

Every number of a card comes from here; nothing in a card is typed by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from statistics import fmean

from facetell.contract import Contract
from facetell.datasets import open_dataset
from facetell.datasets.ferplus import EIGHT
from facetell.datasets.sample import Dataset
from facetell.datasets.splits import split
from facetell.evaluate.corruptions.catalogue import CORRUPTIONS, levels_id
from facetell.evaluate.evaluation import METRICS, Evaluation
from facetell.evaluate.judged import Judged, judge
from facetell.evaluate.raters import rater_score, votes_for
from facetell.evaluate.robustness import (
    Reference,
    Robustness,
    bundled_reference,
    measure_robustness,
)
from facetell.evaluate.robustness_table import summary, write_robustness
from facetell.evaluate.sureness import Sureness
from facetell.evaluate.table import (
    NAMES,
    in_paper_order,
    raters_line,
    show_interval,
    show_value,
)
from facetell.predictor import Predictor
from facetell.recipe import load_recipe, recipe_text
from facetell.runtime.session import bundled_models, load
from facetell.runtime.speed import measure_speed

#: Where accuracies on worse faces are kept, so that they are not measured twice.
KEPT = Path(__file__).resolve().parent.parent / "build" / "cards"
CARD = """# {name}

{architecture}.
Reads {face_px}-pixel {colour} faces and scores {count} emotions: {labels}.
{parameters:,} parameters, {multiply_adds:.1f} million multiply-adds per face, {megabytes:.2f} MB.

Trained by recipe `{recipe}`, {epochs} epochs:

{commands}

## Intended use

Showing how faces in photos, clips and camera pictures look to annotators, to people who can see
the picture themselves: research, teaching, art, games, sorting one's own photos. With
`--sets` and `--abstain` the model says when it may be wrong; use them.
Not intended: decisions about a person, lie detection, diagnosis, and what the law forbids (below).

## Data and protocol

Trained on the {train:,} Training faces of FER2013{labelled} and on nothing else, with seed {seed}
(one run{lineage}). Selected on the {validation:,} PublicTest faces{kept} and calibrated on the
{calibrated:,} of them that show different photographs, none of which the training faces hold; the
numbers below are measured on the same faces, so they are a little too good.
PrivateTest was not touched.

## Numbers on PublicTest

95 % intervals from {resamples:,} bootstrap resamples; of the clean faces, near-copies are drawn
together.
`clean` leaves out the faces of which the training faces hold a near-copy.
With flip: margins of the face and of its mirror image are averaged.

| metric | {columns} |
|---|{rules}
{rows}
{raters}
Cross-fitted on the {distinct:,} clean faces of different photographs, with flip:
{sureness}
docs/uncertainty.md says what this means.

Recall by emotion, official, with flip:

| emotion | faces | recall | 95 % interval |
|---|---|---|---|
{recalls}

Regenerate: `python scripts/write_cards.py --data FER2013 {name}`, or one number with
`facetell evaluate {name} --data {source} --protocol official`.

## On worse faces

{judged:,} PublicTest faces made worse in 28 ways at five severities each, with flip, seed 0
(`facetell evaluate {name} --data {source} --robustness --robustness-faces {judged}`).
Shares are of the accuracy on the same faces as they are, {clean}. docs/robustness.md says more.

| | measured (95 % interval) | aim |
|---|---|---|
{robustness}

Hardest, with the share kept over all five severities: {hardest}.

## Cost

One thread, one face, without flip: {single:.2f} ms; in batches of 64: {batch:.2f} ms per face;
{memory:.0f} MB for a process that does nothing else
(`facetell bench {name}`; a shared two-core machine, so use ratios).
{smaller}: docs/small.md.

## Groups and limits

- FER2013 has no subject ids and no demographic labels; how well the model works for a group of
  people is unknown. Measure it on your own labelled faces: docs/groups.md.
- {noise}
- Fear and sad are confused most. Profiles and faces below 24 pixels in photographs were not
  measured.
- A score says how a face looks to annotators, not what a person feels.

## Uses the law forbids or binds

The EU AI Act prohibits inferring emotions of people at work or in education, except for medical
or safety reasons (Art. 5(1)(f)), and obliges whoever deploys emotion recognition elsewhere to tell
the people exposed to it (Art. 50). See docs/law.md. Not legal advice.

## Licence

Code: MIT. The FER2013 images were collected from the web and come without a licence; they are
generally treated as research only, and are not part of this package.{votes} Whether that binds
weights trained on them is not settled: get advice before commercial use.
"""
PLUS = " that a majority of ten raters gave one of eight emotions (FER+), each with their votes"
NOISE = "Its labels are noisy: ten annotators asked again agree with them on 63 of 100 faces."
FEWER = (
    "Faces on which raters did not agree are left out, so that the numbers look better than they "
    "would on any face."
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure bundled models, write their cards.")
    parser.add_argument("names", nargs="*", default=list(bundled_models()))
    parser.add_argument("--data", required=True, help="FER2013 in any form; with votes for plus")
    parser.add_argument("--faces", type=int, default=1000, help="faces to make worse")
    arguments = parser.parse_args()
    for name in arguments.names:
        path = bundled_models()[name]
        everyone = open_dataset(arguments.data)
        plus = load(name).contract.labels == EIGHT
        dataset = open_dataset(f"ferplus8:{arguments.data}") if plus else everyone
        card = path.with_suffix(".md")
        card.write_text(describe(name, path, dataset, everyone, faces=arguments.faces))
        print(card, flush=True)


def describe(name: str, path: Path, dataset: Dataset, everyone: Dataset, *, faces: int) -> str:
    """The card of one model, judged on `dataset`, which may leave out some faces of `everyone`."""
    plus = dataset is not everyone
    speed = measure_speed(path, threads=1)
    plain, flipped = load(name, flip=False), load(name, flip=True)
    sides = {protocol: split(dataset, protocol) for protocol in ("official", "clean")}
    answers = judge(flipped, dataset, sides["official"])
    judged = {
        "all, with flip": Evaluation.of(answers),
        "all, without flip": Evaluation.of(judge(plain, dataset, sides["official"])),
        "clean, with flip": Evaluation.of(judge(flipped, dataset, sides["clean"])),
    }
    first = judged["all, with flip"]
    contract: Contract = flipped.contract
    recipe = load_recipe(contract.recipe)
    found = judged["clean, with flip"].sureness[-1]
    # The reference's errors are those on FER2013's own labels.
    worse = _worse(path, flipped, answers, faces, None if plus else bundled_reference())
    return CARD.format(
        name=name,
        architecture=contract.architecture[0].upper() + contract.architecture[1:],
        face_px=contract.face_px,
        colour="grey" if contract.channels == 1 else "RGB",
        count={7: "seven", 8: "eight"}[len(contract.labels)],
        labels=", ".join(contract.labels),
        parameters=contract.parameters,
        multiply_adds=contract.multiply_adds / 1e6,
        megabytes=path.stat().st_size / 1e6,
        recipe=contract.recipe,
        epochs=recipe.train.epochs,
        commands=_commands(contract.recipe),
        lineage="".join(f"; {remark}" for remark in contract.training[1:]),
        source="ferplus8:PATH" if plus else "PATH",
        labelled=PLUS if plus else "",
        kept=" with such a majority" if plus else "",
        noise=FEWER if plus else NOISE,
        votes=" FER+ votes: MIT." if recipe.data.votes else "",
        train=len(sides["official"].train),
        calibrated=contract.certainty.faces if contract.certainty else 0,
        validation=len(sides["official"].validation),
        seed=0,
        resamples=first.resamples,
        columns=" | ".join(f"{k} (n = {e.n:,})" for k, e in judged.items()),
        rules="---|" * len(judged),
        rows="\n".join(_row(metric, list(judged.values())) for metric in METRICS),
        raters=_raters(first) + (_on_any_face(flipped, everyone) if plus else ""),
        recalls=_recalls(first),
        distinct=found.n,
        sureness=_sureness(found),
        judged=worse.faces,
        clean=f"{100 * worse.clean:.1f} %",
        robustness="\n".join(f"| {' | '.join(row)} |" for row in _aims(worse)),
        hardest=_hardest(worse),
        smaller="This file is an int8 export"
        if "precision" in contract.results
        else f"Smaller files by `facetell export {name} --precision int8`",
        single=speed.single_ms,
        batch=speed.batch_ms,
        memory=speed.memory_bytes / 1e6,
    )


def _commands(recipe: str) -> str:
    """How to train it: the paragraph of commands in the recipe's header."""
    header = recipe_text(recipe)[0].partition("\nname")[0]
    paragraph = header[header.index("#     facetell train ") :].partition("\n#\n")[0]
    return paragraph.replace("#     ", "    ")


def _worse(
    path: Path, model: Predictor, answers: Judged, faces: int, reference: Reference | None
) -> Robustness:
    """Measured once for each file and version of the corruptions: it takes minutes."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    kept = KEPT / f"{path.stem}-{digest}-{answers.dataset.name}-{faces}-{levels_id()}.json"
    if kept.exists():
        return Robustness.from_dict(json.loads(kept.read_text()))
    found = measure_robustness(model, answers, faces=faces, reference=reference)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_robustness(found, kept)
    return found


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


def _raters(evaluation: Evaluation) -> str:
    """Nothing where nobody voted."""
    return f"\n{raters_line(evaluation.raters)}.\n" if evaluation.raters else ""


def _on_any_face(model: Predictor, everyone: Dataset) -> str:
    """The same on all faces that were voted on, for the labels that all of them may have."""
    parts = split(everyone, "official")
    indices, contract = parts.validation, model.contract
    faces = everyone.faces(indices, face_px=contract.face_px, channels=contract.channels)
    columns = [contract.labels.index(label) for label in everyone.labels]
    found = rater_score(
        model.predict(faces).scores[:, columns].argmax(1),
        votes_for(everyone, indices, everyone.labels),
        groups=None if parts.groups is None else parts.groups[indices],
    )
    assert found is not None
    return (
        "\nOn faces without a majority, too, and among the seven emotions alone, "
        f"{raters_line(found)}.\n"
    )


def _aims(found: Robustness) -> list[tuple[str, str, str]]:
    """What was measured beside what we want; without a reference, no corruption errors."""
    return [row for row in summary(found) if found.reference or not row[0].startswith("mean")]


def _hardest(found: Robustness) -> str:
    """The five corruptions that cost most."""
    shares = {
        kind.title: found.share(fmean(cell.accuracy for cell in found.of_corruption(name)))
        for name, kind in CORRUPTIONS.items()
    }
    worst = sorted(shares, key=lambda title: shares[title])[:5]
    return ", ".join(f"{title} {100 * shares[title]:.0f} %" for title in worst)


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
