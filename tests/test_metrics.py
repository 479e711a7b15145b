"""How good predictions are: against counting."""

import math
import statistics

import oracles
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mmalign import metrics

classes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
scores = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=30)


@given(classes)
def test_classification_scores_equal_counting(pairs):
    truth, guess = map(list, zip(*pairs, strict=True))
    found = metrics.classification(torch.eye(4)[guess], torch.tensor(truth))
    macro, weighted = oracles.f1(truth, guess)
    assert found["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert (found["f1_macro"], found["f1_weighted"]) == pytest.approx((macro, weighted))


@pytest.mark.slow
@given(classes)
@settings(max_examples=500)
def test_f1_is_scikit_learns_to_the_bit(pairs):
    truth, guess = map(list, zip(*pairs, strict=True))
    found = metrics.classification(torch.eye(4)[guess], torch.tensor(truth))
    for average in ("macro", "weighted"):
        assert found[f"f1_{average}"] == f1_score(truth, guess, average=average, zero_division=0)


@given(scores)
def test_regression_scores_equal_counting_and_labels_of_zero_have_no_sign(pairs):
    truth, guess = (torch.tensor(one, dtype=torch.float32) for one in zip(*pairs, strict=True))
    found = metrics.regression(guess, truth)
    assert found["mae"] == pytest.approx(sum(abs(a - b) for a, b in pairs) / len(pairs))
    signs = [(a > 0, b > 0) for a, b in pairs if a != 0]
    if signs:
        assert found["acc2"] == pytest.approx(sum(a == b for a, b in signs) / len(signs))
        assert found["f1"] == pytest.approx(oracles.f1(*map(list, zip(*signs, strict=True)))[1])
    else:
        assert math.isnan(found["acc2"]) and math.isnan(found["f1"])


def test_what_is_predicted_for_a_label_of_zero_changes_neither_acc2_nor_f1():
    labels = torch.tensor([1.0, -1.0, 0.0])
    for guess in (5.0, -5.0):
        found = metrics.regression(torch.tensor([1.0, -1.0, guess]), labels)
        assert (found["acc2"], found["f1"]) == (1.0, 1.0) and found["mae"] > 1


def test_a_prediction_of_exactly_zero_counts_as_not_positive():
    assert metrics.regression(torch.zeros(2), torch.tensor([1.0, -1.0]))["acc2"] == 0.5


def test_metrics_are_chosen_by_the_task_and_are_plain_numbers():
    found = metrics.of_task("regression", torch.ones(2, requires_grad=True), torch.ones(2))
    assert set(found) == {"mae", "acc2", "f1"}
    found |= metrics.of_task("classification", torch.eye(2), torch.tensor([0, 1]))
    assert {type(value) for value in found.values()} == {float}


def test_sentiment_is_measured_as_its_papers_do():
    prediction, labels = torch.tensor([0.4, -5.0, 2.6, 0.6]), torch.tensor([0.0, -3.0, 1.4, 0.4])
    found = metrics.sentiment(prediction, labels)
    assert found["acc7"] == 0.5 and found["corr"] == pytest.approx(
        statistics.correlation(prediction.tolist(), labels.tolist())
    )


def test_a_constant_answer_has_no_correlation():
    assert math.isnan(metrics.sentiment(torch.ones(3), torch.arange(3.0))["corr"])
