"""The user's own arrays."""

import numpy as np
import pandas as pd
import pytest
import torch

import mmalign
from mmalign import InputError
from mmalign.config import Condition
from mmalign.data import make_splits

N, T = 20, 4
REVERSED = Condition(pair=("victim", "visible")).whole


def arrays(**changes):
    draw = np.random.default_rng(0)
    plain = {
        "visible": draw.normal(size=(N, T, 3)),
        "victim": draw.normal(size=(N, T, 2)),
        "labels": draw.normal(size=N),
    }
    return {**plain, **changes}


def test_values_come_through_unchanged_three_to_one_to_one():
    own = arrays()
    data = mmalign.from_arrays(**own)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [12, 4, 4]
    for part in (data.train, data.valid, data.test):
        batch = part.batch
        np.testing.assert_array_equal(batch.visible, own["visible"][batch.ids].astype("f4"))
        np.testing.assert_array_equal(batch.victim, own["victim"][batch.ids].astype("f4"))
        assert batch.complete.all()


def test_tensors_lists_and_whole_numbers_do_as_well():
    own = arrays()
    for kind in (torch.tensor, np.ndarray.tolist):
        data = mmalign.from_arrays(**{name: kind(values) for name, values in own.items()})
        assert data.source.digest == mmalign.from_arrays(**own).source.digest
    assert mmalign.from_arrays(
        np.ones((N, T, 1), int), np.ones((N, T, 1), bool).astype(int), 1.0 * np.arange(N)
    ).spec.widths == (
        1,
        1,
    )


def test_padding_is_not_read_not_even_if_it_is_nan():
    own, lengths = arrays(), np.arange(N) % T + 1
    clean = mmalign.from_arrays(**own, lengths=lengths)
    for name in ("visible", "victim"):
        own[name][np.arange(T) >= lengths[:, None]] = np.nan
    other = mmalign.from_arrays(**own, lengths=lengths)
    assert clean.source.digest == other.source.digest and other.train.batch.complete.all()


def test_a_victim_that_is_nan_throughout_is_missing():
    own = arrays()
    own["victim"][::2] = np.nan
    batch = mmalign.from_arrays(**own).train.batch
    assert batch.complete.equal(batch.ids % 2 == 1) and batch.victim[~batch.complete].isnan().all()


def test_a_victim_that_is_marked_missing_is_not_read():
    own, marked = arrays(), np.arange(N) % 2 == 0
    for value in (0.0, np.nan, 1e30):
        own["victim"][marked] = value
        batch = mmalign.from_arrays(**own, missing=marked).train.batch
        assert batch.complete.equal(batch.ids % 2 == 1) and batch.victim[~batch.complete].isnan().all()


def test_classes_may_have_any_names():
    data = mmalign.from_arrays(**arrays(labels=np.array(["no", "yes"] * 10)), task="classification")
    assert data.source.classes == ("no", "yes") and data.spec.outputs == 2
    assert data.train.batch.labels.equal(data.train.batch.ids % 2)


def test_samples_of_one_group_stay_on_one_side():
    people = np.array(list("abcdefghij") * 2)
    data = mmalign.from_arrays(**arrays(), groups=people, seed=3)
    sides = [{*people[part.batch.ids].tolist()} for part in (data.train, data.valid, data.test)]
    assert [len(side) for side in sides] == [6, 2, 2]


def spoilt(name, place, value):
    own = arrays()
    own[name][place] = value
    return own


@pytest.mark.parametrize(
    ("own", "says"),
    [
        (arrays(victim=np.zeros((N - 1, T, 2))), r"agree in samples and steps, found \(20, 4, 3\) and \(19, 4, 2\)"),
        (arrays(victim=np.zeros((N, T + 1, 2))), "agree in samples and steps"),
        (arrays(labels=np.zeros(N + 1)), "labels holds 21 samples, lengths 20"),
        (arrays(labels=np.zeros((N, 2))), "labels must have shape"),
        (arrays(labels=np.full(N, np.nan)), "found nan at sample 0; mark samples that have no label in unlabelled="),
        (
            arrays(labels=["a"] * N, task="regression"),
            "finite numbers, found <U1; for classes say task=.classification",
        ),
        (arrays(visible=np.zeros((N, T))), r"visible must be numbers of shape \(N, T, D\)"),
        (arrays(visible=np.zeros((N, T, 0))), "visible must be numbers"),
        (arrays(visible=np.full((N, T, 1), "x")), "visible must be numbers"),
        (spoilt("visible", (3, 1, 2), np.nan), "visible must be finite, found NaN or infinity at sample 3, step 1"),
        (spoilt("visible", (3, 1, 2), np.inf), "sample 3, step 1"),
        (spoilt("visible", (3, 1, 2), 1e300), "sample 3, step 1"),  # infinite in single precision
        (spoilt("victim", (5, 0, 1), np.nan), "victim must be finite, found NaN or infinity at sample 5, step 0"),
        (arrays(lengths=np.zeros(N, int)), r"lengths must lie in 1\.\.4, found 0 at sample 0"),
        (arrays(lengths=np.full(N, T + 1)), r"found 5 at sample 0"),
        (arrays(lengths=np.full(N, 2.0)), "lengths must be 20 whole numbers"),
        (arrays(lengths=[1]), "lengths must be 20 whole numbers"),
        (arrays(missing=np.zeros(N)), "missing must be 20 booleans"),
        (arrays(groups=np.zeros(3)), r"groups must have shape \(20,\)"),
        (arrays(groups=np.zeros(N)), "five folds need at least 5"),
        (arrays(task="ranking"), "unknown task 'ranking'"),
        (arrays(task="classification"), "whole numbers or strings"),
        (arrays(task="classification", labels=np.ones(N, int)), "at least 2 classes, found 1"),
        (arrays(missing=np.ones(N, bool)), "victim"),  # then there is nothing to learn from
        ({**spoilt("victim", 4, np.nan), "missing": np.zeros(N, bool)}, "sample 4 is NaN throughout but not marked"),
        (arrays(missing=[True] * N), "none of the 12 training samples has its victim"),
        (
            arrays(visible=[np.zeros((steps % 3 + 1, 2)) for steps in range(N)]),
            "pair 0 has 1 visible steps and 4 of the victim",
        ),
        (arrays(labels=[[0.0]] * (N - 1) + [[0.0, 1.0]]), "labels must be one array"),
        (arrays(lengths=[1, None] * 10), "lengths must be 20 whole numbers"),
        (arrays(task="classification", labels=["a", "b"] * 9 + ["a", float("nan")]), "labels .* nan at sample 19"),
        (arrays(task="classification", labels=["a", "b"] * 9 + [None, "a"]), "labels .* None at sample 18"),
        (arrays(task="classification", labels=[0.0, np.inf] * 10), "labels .* inf at sample 1"),
        (arrays(groups=[*"abcdefghij"] * 1 + [None] * 10), "groups .* None at sample 10"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_the_place_is_named(own, says):
    with pytest.raises(InputError, match=says):
        mmalign.from_arrays(**own)


def test_tensors_with_a_gradient_and_columns_of_a_table_do_as_well():
    own, marked = arrays(), pd.Series(np.arange(N) % 2 == 0)
    visible = torch.tensor(own["visible"], requires_grad=True)
    data = mmalign.from_arrays(**{**own, "visible": visible}, missing=marked, groups=pd.Series([*"abcdefghij"] * 2))
    assert data.train.batch.complete.equal(data.train.batch.ids % 2 == 1)


def test_a_class_that_nobody_knows_is_not_read():
    labels = ["a", "b"] * 9 + [None, float("nan")]
    data = mmalign.from_arrays(**arrays(labels=labels), unlabelled=np.arange(N) >= 18, task="classification")
    assert data.source.classes == ("a", "b") and int(data.source.labelled.sum()) == 18


def test_what_lacks_its_victim_cannot_be_the_visible_one():
    own, marked = arrays(), np.arange(N) % 2 == 0
    source = mmalign.from_arrays(**own, missing=marked).source
    with pytest.raises(InputError, match="10 samples lack 'victim', which must be the victim then"):
        make_splits(source, REVERSED)
    whole = mmalign.from_arrays(**own).source
    assert make_splits(whole, REVERSED).spec.widths == (2, 3)


def test_the_digest_tells_who_lacks_the_victim_and_who_belongs_together():
    own, marked = arrays(victim=np.zeros((N, T, 2))), np.arange(N) % 2 == 0
    ways = [{}, {"missing": marked}, {"groups": np.arange(N)}, {"groups": np.arange(N) // 2}]
    assert len({mmalign.from_arrays(**own, **way).source.digest for way in ways}) == len(ways)


# ---- from a file -------------------------------------------------------------------------------------


def test_a_file_holds_what_memory_held(tmp_path):
    np.savez(tmp_path / "arrays.npz", **arrays())
    data = mmalign.load("arrays", survival=0.5, data_dir=tmp_path)
    assert data.source.digest == mmalign.from_arrays(**arrays()).source.digest and len(data.train.complete) == 6


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (self.path.touch, ())


def test_a_spoilt_file_is_refused_and_a_pickle_inside_it_is_not_run(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays())
    whole = path.read_bytes()
    bomb = np.empty(1, object)
    bomb[0] = Bomb(tmp_path / "canary")
    spoilers = [
        lambda: path.unlink(),
        lambda: path.write_bytes(whole[:200]),
        lambda: path.write_bytes(b""),
        lambda: np.savez(path, visible=1),
        lambda: np.savez(path, **arrays(), extra=1),
        lambda: np.savez(path, **arrays(labels=bomb)),
    ]
    for spoil in spoilers:
        spoil()
        with pytest.raises(InputError, match=r"arrays\.npz") as caught:
            mmalign.load("arrays", data_dir=tmp_path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "canary").exists()
