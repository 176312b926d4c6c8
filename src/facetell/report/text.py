"""The report's prose: what the numbers mean, what the law says, how it was measured."""

from __future__ import annotations

from facetell.evaluate.evaluation import Evaluation
from facetell.evaluate.table import subject

__all__ = ["FACES_NOTICE", "LAW", "MEANING", "meaning_of", "methods"]

FACES_NOTICE = (
    "This file contains faces from the dataset. Do not publish it or pass it on unless the terms "
    "of the data allow that; a report written without faces can be shared."
)

MEANING = (
    "A label says which of a few words annotators chose for a still image of a face. It does not "
    "say what the person felt: people smile without joy and are sad without showing it, and a "
    "single frame has no before and after.",
    "A score is the model's estimate that annotators would choose that word. A score of 70 % that "
    "is well calibrated means that about seven of ten such faces carry that label; it is not a "
    "strength of emotion.",
    "The numbers hold for faces like the judged ones. Another camera, crop, age group or culture "
    "can score lower, and nothing here says for whom the model works worse unless the data name "
    "such groups. Do not decide about a person on the basis of these scores.",
)

LAW = (
    "In the European Union, AI systems that infer emotions of people at work or in education are "
    "prohibited except for medical or safety reasons (AI Act, Regulation (EU) 2024/1689, "
    "Art. 5(1)(f), since 2 February 2025). Where emotion recognition is allowed, those who deploy "
    "it must inform the people exposed to it (Art. 50(3)), and other duties for high-risk systems "
    "and for personal data may apply. This is not legal advice."
)

_FER2013 = (
    "FER2013's labels are noisy: its authors report that people agree with them on about 65 % of "
    "the faces (Goodfellow et al. 2013). Part of any score far above that is skill at its "
    "labelling habits, and near-copies of test faces among its training faces raise scores under "
    "the official split; the “clean” protocol takes them out."
)


def meaning_of(evaluation: Evaluation) -> tuple[str, ...]:
    """What the labels mean and do not mean, for the judged dataset."""
    is_fer2013 = "fer2013" in evaluation.dataset.lower().replace("-", "")
    return (*MEANING, _FER2013) if is_fer2013 else MEANING


def methods(evaluation: Evaluation) -> str:
    """One paragraph that says how the numbers were obtained."""
    facts, redrawn = evaluation.contract, "faces"
    if 0 < evaluation.clusters < evaluation.n:
        redrawn = f"{evaluation.clusters:,} groups of related faces"
    size = facts.get("face_px", "?")
    colour = "grey" if facts.get("channels") == 1 else "RGB"
    mirror = "averaged over each face and its mirror image" if facts.get("flip") else "of one pass"
    return (
        f"The model {evaluation.model} was run once over {subject(evaluation)}. Faces were read as "
        f"{size} × {size} px {colour}, and scores are {mirror}. The predicted emotion is the one "
        "with the highest score. Balanced accuracy is the mean recall over the emotions that "
        "occur; macro F1 is the unweighted mean of their F1. The calibration error compares mean "
        f"confidence and accuracy in {len(evaluation.reliability)} bins of equal size. The "
        "negative log-likelihood is in nats, the Brier score is the squared distance to the "
        "one-hot label (0 to 2). Intervals are 95 % percentile bootstrap intervals "
        f"({evaluation.resamples:,} resamples of {redrawn}, seed {evaluation.seed}); that of the "
        "calibration error is shifted by the bias that resampling adds. Intervals of recall, "
        "precision and bin accuracies are Wilson intervals. They express chance in the choice of "
        "faces, not variation between training runs or between datasets."
    )
