from dataclasses import replace

import numpy as np
import pytest

from facetell import draw
from facetell.contract import Certainty, Contract
from facetell.errors import ContractError, InputError
from facetell.results import Face
from facetell.runtime.analyzer import Analyzer
from facetell.runtime.certainty import Doubt, are_sure, label_sets, least_scores, sure_score
from facetell.runtime.follower import Follower
from facetell.runtime.quality import WARNINGS

LABELS = ("happy", "sad", "neutral")
CERTAINTY = Certainty(
    data="drawn", faces=200, levels=(0.8, 0.9, 0.99),
    least_scores=((0.5, 0.4, 0.3), (0.2, 0.1, 0.15), (0.02, 0.01, 0.01)),
    shares=(0.5, 1.0), sure_scores=(0.8, 0.0), accuracies=(0.9, 0.7),
)  # fmt: skip
CONTRACT = Contract(name="x", labels=LABELS, certainty=CERTAINTY)


def face(scores, label=None):
    named = dict(zip(LABELS, scores, strict=True))
    label = label or max(named, key=named.get)
    return Face(box_xyxy=(0, 0, 9, 9), label=label, scores=named, margins=named, margin=0.1)


@pytest.mark.parametrize(("level", "row"), [(0.8, 0), (0.81, 1), (0.9, 1), (0.90001, 2), (0.99, 2)])
def test_the_next_higher_level_counts(level, row):
    assert least_scores(CONTRACT, level).tolist() == list(CERTAINTY.least_scores[row])


@pytest.mark.parametrize("level", [0.0, 0.79, 0.991, 1.0, float("nan")])
def test_a_level_that_the_contract_has_not_is_refused(level):
    with pytest.raises(InputError, match=r"expected a level from 0\.8 to 0\.99"):
        least_scores(CONTRACT, level)


def test_between_two_shares_the_score_lies_on_a_line():
    assert [sure_score(CONTRACT, share) for share in (0.5, 0.75, 1.0)] == [0.8, 0.4, 0.0]


@pytest.mark.parametrize("share", [0.49, 1.1, float("nan")])
def test_a_share_that_the_contract_has_not_is_refused(share):
    with pytest.raises(InputError, match=r"expected a share of answered faces from 0\.5 to 1"):
        sure_score(CONTRACT, share)


def test_sets_hold_what_reaches_its_score_and_always_the_best():
    scores = np.array([[0.3, 0.35, 0.35], [0.5, 0.4, 0.1], [0.34, 0.33, 0.33]])
    least = np.array([0.5, 0.4, 0.36])
    assert label_sets(scores, least).tolist() == [
        [False, True, True],
        [True, True, False],
        [True, False, False],
    ]
    assert label_sets(np.empty((0, 3)), least).shape == (0, 3)


def test_the_highest_score_decides_whether_a_face_is_answered():
    assert are_sure(np.array([[0.5, 0.5], [0.7, 0.3]]), 0.6).tolist() == [False, True]


def test_a_face_gets_what_was_asked_for_and_nothing_else():
    one = face((0.6, 0.15, 0.25))
    assert Doubt(CONTRACT).about(one) is one
    with_set = Doubt(CONTRACT, sets=0.9).about(one)
    assert (with_set.set, with_set.sure) == (("happy", "neutral", "sad"), None)
    answered = Doubt(CONTRACT, abstain=0.75).about(one)
    assert (answered.set, answered.sure) == (None, True)
    assert Doubt(CONTRACT, abstain=0.5).about(one).sure is False


@pytest.mark.parametrize("said", [True, False])
def test_yes_and_no_are_no_shares(said):
    for option, message in (
        (
            "abstain",
            rf"expected a share of answered faces from 0\.1 to 1, got {said}\. Ask for 0\.7",
        ),
        ("sets", rf"expected a level from 0\.5 to 0\.99 .*, got {said}\. Ask for 0\.9"),
        ("min_score", rf"min_score must be from 0 to 1, got {said}"),
    ):
        with pytest.raises(InputError, match=message):
            Analyzer("compact", threads=1, **{option: said})


@pytest.mark.parametrize("warning", WARNINGS)
def test_a_face_with_a_warning_is_never_sure_and_keeps_its_set(warning):
    certain = face((0.98, 0.01, 0.01))
    doubt = Doubt(CONTRACT, sets=0.9, abstain=1.0)
    assert doubt.about(certain).sure is True
    warned = doubt.about(replace(certain, warnings=(warning,)))
    assert (warned.set, warned.sure) == (("happy",), False)
    assert Doubt(CONTRACT).about(warned) is warned


def test_a_black_picture_gets_no_answer():
    analyzer = Analyzer("compact", detector="none", threads=1, abstain=1.0)
    black = analyzer.read(np.zeros((60, 60, 3), np.uint8)).faces[0]
    assert (black.warnings, black.sure) == (("dark", "flat"), False)
    assert draw._title(1, black) == f"1 {black.label}? (dark, flat)"
    frames = Follower(analyzer)
    assert frames.read(np.zeros((60, 60, 3), np.uint8), 0.0).faces[0].sure is False


def test_a_steady_label_is_in_its_set_even_where_another_leads():
    assert Doubt(CONTRACT, sets=0.8).about(face((0.6, 0.3, 0.1), "sad")).set == ("happy", "sad")


@pytest.mark.parametrize("asked", [{"sets": 0.9}, {"abstain": 0.7}])
def test_a_model_without_calibration_says_how_to_get_one(asked):
    with pytest.raises(ContractError, match=r"got 'plain', which was not.*facetell calibrate"):
        Doubt(Contract(name="plain"), **asked)
