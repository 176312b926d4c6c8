"""The printed figures."""

import pytest

from facetell.evaluate.paper import DATASETS, VERDICTS, printed, protocol


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_printed_overall_accuracy_is_the_balanced_accuracy_of_the_printed_matrix(dataset):
    table = printed(dataset)

    assert table.confusion.shape == (7, 7)
    assert table.balanced_accuracy == pytest.approx(table.overall, abs=0.011)
    assert table.confusion.sum(axis=1) == pytest.approx(100, abs=1.6)


def test_tables_are_numbered_as_in_the_paper():
    assert [printed(dataset).table for dataset in DATASETS] == [1, 2, 3]
    assert set(VERDICTS) == set(DATASETS)


def test_both_printed_trainings_are_there():
    assert protocol()["training_a"]["l2"] == 0.0018
    assert protocol()["training_b"]["admm"] == 0.025
