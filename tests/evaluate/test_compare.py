import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from facetell.datasets.splits import split
from facetell.errors import InputError
from facetell.evaluate.compare import Comparison, compare
from facetell.evaluate.judged import judge
from judging import FakePredictor, small_dataset


@pytest.fixture(scope="module")
def judged():
    dataset = small_dataset(800)
    parts = split(dataset, "official")
    good, bad = FakePredictor("good", skill=3), FakePredictor("bad", skill=1, seed=1)
    return judge(good, dataset, parts), judge(bad, dataset, parts)


def test_discordant_faces_are_counted_and_tested(judged):
    a, b = judged
    found = compare(a, b)

    assert found.only_a == sum(x and not y for x, y in zip(a.correct, b.correct, strict=True))
    assert found.only_b == sum(y and not x for x, y in zip(a.correct, b.correct, strict=True))
    expected = stats.binomtest(found.only_a, found.only_a + found.only_b).pvalue
    assert found.p_value == pytest.approx(expected)
    assert found.difference.value == pytest.approx(a.correct.mean() - b.correct.mean())
    assert found.difference.low > 0


def test_the_other_way_round_is_the_same_difference_with_the_other_sign(judged):
    forth, back = compare(*judged), compare(*reversed(judged))

    assert back.difference.value == -forth.difference.value
    assert back.difference.low == pytest.approx(-forth.difference.high)
    assert (back.only_a, back.only_b, back.p_value) == (
        forth.only_b,
        forth.only_a,
        forth.p_value,
    )


def test_a_model_does_not_differ_from_itself(judged):
    found = compare(judged[0], judged[0])

    assert found.difference == (0, 0, 0)
    assert (found.p_value, found.agreement) == (1, 1)
    assert found.sentence().startswith("good (first) minus good (second): +0.00 points")


def test_the_verdict_names_the_better_model_only_beyond_chance(judged):
    assert "good is better beyond chance" in compare(*judged).sentence()
    assert "good is better beyond chance" in compare(*reversed(judged)).sentence()
    alike = compare(judged[0], judged[0]).sentence()
    assert "p = 1.000: not shown to differ; equally good models would be at least this far" in alike
    assert alike.endswith(" apart in 100 % of cases.")
    assert "beyond chance" not in alike


@pytest.mark.parametrize(
    ("p_value", "verdict"),
    [
        (0.0004, "p < 0.001: good is better beyond chance."),
        (0.049, "p = 0.049: good is better beyond chance."),
        (0.1, "p = 0.100: not shown to differ; equally good models would be at least this far "
              "apart in 10 % of cases."),
    ],
)  # fmt: skip
def test_the_verdict_claims_no_more_than_its_p_value(judged, p_value, verdict):
    found = replace(compare(*judged), p_value=p_value)

    assert found.sentence().endswith(f"exact McNemar {verdict}")


def test_to_dict_is_json_and_from_dict_its_inverse(judged):
    found = compare(*judged)

    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_different_faces_are_refused(judged):
    a, b = judged
    other = judge(FakePredictor(), b.dataset, b.split, side="validation")
    relabelled = replace(b, labels=np.roll(b.labels, 1))

    for wrong in (other, relabelled):
        with pytest.raises(InputError, match="expected two models judged on the same faces"):
            compare(a, wrong)


def test_where_faces_come_in_groups_the_test_and_the_interval_agree(judged):
    """Equally good models: by faces the test would find a better one far too often."""
    a = judged[0]
    people = np.arange(len(a.dataset)) // 20
    rng = np.random.default_rng(0)
    beyond = 0
    for _ in range(100):
        luck = rng.random((2, people.max() + 1)) < 0.5  # a person is read rightly or not at all
        right = [np.where(row[people[a.indices]], a.labels, (a.labels + 1) % 7) for row in luck]
        one, other = (replace(a, predicted=answers) for answers in right)
        found = compare(one, other, groups=people)
        beyond += "beyond chance" in found.sentence()
        assert f"over {found.clusters} groups" in found.sentence()
    assert beyond <= 10, "5 of 100 by chance"
