"""Finished steps are remembered."""

import pytest

from facetell.errors import InputError
from facetell.reproduce.book import Book, Step, slug


def test_a_finished_step_is_not_run_again(tmp_path):
    ran, said = [], []
    step = Step("fer2013: hybrid", lambda: {"measured": [ran.append(1)]})

    for _ in range(2):
        book = Book(tmp_path, {"seed": 0})
        found = book.once(step, said.append)

    assert ran == [1]
    assert found["measured"] == [None]
    assert book.seconds == found["seconds"] > 0
    assert said[-1] == "fer2013: hybrid: done before"


def test_a_step_that_fails_leaves_nothing_behind(tmp_path):
    def fail():
        raise RuntimeError("killed")

    book = Book(tmp_path, {})
    with pytest.raises(RuntimeError, match="killed"):
        book.once(Step("step", fail), print)

    assert book.once(Step("step", lambda: {"x": 1}), print)["x"] == 1


def test_results_of_other_settings_are_refused(tmp_path):
    Book(tmp_path, {"seed": 0})
    Book(tmp_path, {"seed": 0})
    with pytest.raises(InputError, match="other data or settings"):
        Book(tmp_path, {"seed": 1})


def test_names_that_look_alike_have_files_of_their_own():
    assert slug("SVM (a)") != slug("SVM [a]")
    assert slug("fer2013: no LSTM").startswith("fer2013-no-lstm-")
