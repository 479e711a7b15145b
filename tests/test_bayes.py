"""The best possible answers: what is left of the label cannot be told from anything that was seen."""

import pytest
import torch

from mmalign import InputError
from mmalign.data import bayes, planted
from mmalign.data.planted import ORDERS

KNOBS = {"samples": 4000, "shortest": 6, "longest": 12, "second_noise": 0.5, "victim_share": 0.3}


def guesses(*seen):
    """Many functions of what was seen: means, squares, and products of neighbours. (N, F)"""
    found = []
    for values in seen:
        found += [values.mean(1), values.square().mean(1), values[:, 0], values[:, 2], values[:, 5]]
        found += [(values[:, 1:] * values[:, :-1]).mean(1), values[:, :3].amax(1), values[:, 2::3].mean(1)]
    return torch.cat(found, dim=1)


def correlations(rest, functions):
    """|correlation| of what is left of the label with each function, in units of its standard error."""
    both = torch.cat([rest[:, None], functions], dim=1)
    return torch.corrcoef(both.T)[0, 1:].nan_to_num().abs() * len(rest) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("label", ["mean", "order"])
@pytest.mark.parametrize("order", ORDERS)
def test_what_the_best_answer_from_the_visible_leaves_is_unforeseeable(order, label):
    """The mark of a conditional mean: its error is uncorrelated with every function of what is known."""
    knobs = KNOBS | {"order": order, "label": label}
    source, found = planted.read(**knobs), bayes.best(draws=50, **knobs)
    assert correlations(source.labels - found.visible, guesses(source.features["first"])).max() < 4.5
    blunt = correlations(source.labels, guesses(source.features["first"])).max()
    assert blunt > 10  # the test could have failed


@pytest.mark.parametrize("label", ["mean", "order"])
def test_so_is_what_the_best_answer_from_both_leaves_where_the_order_says_nothing(label):
    knobs = KNOBS | {"order": "random", "label": label}
    source, found = planted.read(**knobs), bayes.best(draws=1, **knobs)
    assert correlations(source.labels - found.both, guesses(*source.features.values())).max() < 4.5


@pytest.mark.parametrize("order", ORDERS)
def test_both_modalities_say_more_than_one_and_one_says_more_than_nothing(order):
    knobs = KNOBS | {"order": order}
    labels, found = planted.read(**knobs).labels, bayes.best(draws=20, **knobs)
    nothing, one, both = ((labels - guess).square().mean() for guess in (labels.mean(), *found))
    assert both < one < 0.97 * nothing


def test_with_no_noise_both_modalities_know_the_label():
    knobs = KNOBS | {"first_noise": 0.0, "second_noise": 0.0, "label_noise": 0.0, "samples": 50}
    for order in ORDERS:
        labels, found = planted.read(order=order, **knobs).labels, bayes.best(draws=1, order=order, **knobs)
        torch.testing.assert_close(found.both, labels, atol=0.02, rtol=0)


def test_an_order_that_can_be_foretold_leaves_less_than_one_that_cannot():
    """So there is something to win where the order follows a rule, and nothing where it is drawn."""
    left = {}
    for order in ("rule", "random"):
        knobs = KNOBS | {"order": order, "label": "order", "victim_share": 0.0}
        labels, found = planted.read(**knobs).labels, bayes.best(draws=20, **knobs)
        left[order] = (labels - found.visible).square().mean()
    assert left["rule"] < 0.4 * left["random"]


def test_classes_have_no_best_answer():
    with pytest.raises(InputError, match="regression"):
        bayes.best(task="classification")
