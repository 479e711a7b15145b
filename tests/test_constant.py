"""The same answer for everybody."""

import pytest
import small
import torch

import mmalign


def test_it_answers_with_the_median_of_the_labels_that_are_shown():
    data = small.planted(labelled=0.5)
    model, _ = small.train("constant", data)
    shown = data.train.batch.labels[data.train.samples.labelled]
    answers = model.predict(data.test.batch)
    assert answers.unique().tolist() == pytest.approx([shown.sort().values[[8, 9]].mean().item()]) and len(shown) == 18


def test_it_answers_with_the_commonest_class():
    labels = ["b"] * 40 + ["a"] * 25 + ["c"] * 15
    data = mmalign.from_arrays(torch.rand(80, 4, 2), torch.rand(80, 4, 2), labels, task="classification")
    model, _ = small.train("constant", data)
    shares = model.predict(data.test.batch)[0].exp()
    assert data.spec.class_names[int(shares.argmax())] == "b"
    torch.testing.assert_close(shares, torch.bincount(data.train.batch.labels) / len(data.train))


def test_its_accuracy_is_the_share_of_the_commonest_class():
    data = mmalign.load("smartwatch", survival=0.5, seed=0)
    model, _ = small.train("constant", data)
    common = torch.bincount(data.train.samples.labels).argmax()
    assert mmalign.evaluate(model, data.test)["accuracy"] == pytest.approx(
        (data.test.samples.labels == common).float().mean().item()
    )
