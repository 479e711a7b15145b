"""The forest that networks must beat: what it is told, and that its tensors say what scikit-learn says."""

import numpy as np
import pytest
import small
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

import mmalign
from mmalign.baselines import trees


def told(model, split):
    return torch.cat([model.numbers(batch) for batch in split.batches(1000)]).numpy()


@pytest.mark.parametrize("name", ["trees", "trees-both"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_tensors_answer_as_the_forest_they_were_made_from(name, task, monkeypatch):
    kept = []
    for kind in (ExtraTreesRegressor, ExtraTreesClassifier):
        spy = lambda *args, kind=kind, **more: kept.append(kind(*args, **more)) or kept[-1]  # noqa: E731
        monkeypatch.setattr(trees, kind.__name__, spy)
    data = small.data_for(name, task=task, samples=200)
    model, _ = small.train(name, data, model={"trees": 30})
    (forest,) = kept
    numbers = told(model, data.test)
    expected = forest.predict(numbers) if task == "regression" else forest.predict_proba(numbers)
    found = model.predict(data.test.batch)
    found = found.numpy() if task == "regression" else found.exp().numpy()
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_a_class_without_a_label_gets_no_share():
    data = small.planted(task="classification", labelled=1.0)
    batch = data.train.batch
    few = mmalign.data.Split(batch.rows(batch.labels != 1), data.train.spec)
    model = small.build("trees", data)
    mmalign.fit(model, mmalign.data.Splits(few, data.valid, data.test, data.spec, data.source), progress=False)
    assert model.predict(data.test.batch).exp()[:, 1].max() < 1e-5


def test_a_sequence_is_told_by_plain_numbers_and_its_steps():
    data = small.planted()
    model, batch = small.build("trees", data), data.train.batch
    numbers, width = model.numbers(batch), batch.visible.shape[2]
    for row, values, length in zip(numbers, batch.visible, batch.lengths.tolist(), strict=True):
        real = values[:length]
        plain = [real.mean(0), real.std(0, correction=0), real.amin(0), real.amax(0), real[0], real[-1]]
        torch.testing.assert_close(row[: 6 * width], torch.cat(plain))
        torch.testing.assert_close(row[6 * width :][: length * width], real.flatten())
        assert not row[6 * width + length * width :].any()


def test_long_sequences_are_not_told_step_by_step():
    data = small.planted()
    assert small.build("trees", data, steps=7).numbers(data.train.batch).shape[1] == 6 * 8
    assert small.build("trees", data, steps=8).numbers(data.train.batch).shape[1] == 6 * 8 + 8 * 8
    longer = mmalign.load("planted", samples=40, shortest=12, longest=12)
    assert small.build("trees", data).numbers(longer.train.batch).shape[1] == 6 * 8 + 8 * 8  # the first eight


def test_it_learns_from_labelled_samples_alone():
    """Whatever the others hold."""
    data = small.planted(labelled=0.4, survival=1.0)
    few = mmalign.data.Split(data.train.samples.part(data.train.samples.labelled), data.train.spec)
    alone = mmalign.data.Splits(few, data.valid, data.test, data.spec, data.source)
    found = [small.train("trees", one)[0].predict(data.test.batch) for one in (data, alone)]
    assert found[0].equal(found[1])


def test_it_finds_what_a_step_says():
    torch.manual_seed(0)
    features = torch.randn(400, 6, 2)
    data = mmalign.from_arrays(features, features, features[:, 3, 1])
    model, _ = small.train("trees", data, model={"trees": 60})
    report, nothing = (mmalign.evaluate(one, data.test)["mae"] for one in (model, small.train("constant", data)[0]))
    assert report < 0.6 * nothing
