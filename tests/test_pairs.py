"""Pairs: what people hand over, and what systems are shown of it."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.utils import _safe_indexing

import mmalign
from mmalign import InputError, Pairs

LENGTHS = [3, 5, 4, 2, 5, 3]
N = len(LENGTHS)
NAN = np.nan


def ragged(width=2, seed=0, lengths=LENGTHS):
    draw = np.random.default_rng(seed)
    return [draw.normal(size=(length, width)) for length in lengths]


def padded(sequences, behind=0.0):
    array = np.full((len(sequences), max(map(len, sequences)), sequences[0].shape[1]), behind)
    for row, one in zip(array, sequences, strict=True):
        row[: len(one)] = one
    return array


def same(first, second):
    return len(first) == len(second) and all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(first, second, strict=True)
    )


def test_ragged_lists_padded_arrays_tensors_and_tables_say_the_same():
    first, second = ragged(2), ragged(3, seed=1)
    ways = [
        Pairs(first, second),
        Pairs(padded(first, 7.0), padded(second, NAN), LENGTHS),
        Pairs(torch.from_numpy(padded(first)), torch.from_numpy(padded(second)), torch.tensor(LENGTHS)),
        Pairs([pd.DataFrame(one) for one in first], [torch.from_numpy(one) for one in second]),
        Pairs(pd.Series(first), np.array(second, dtype=object)),
    ]
    for pairs in ways:
        assert same(pairs.visible, first) and same(pairs.victim, second)
        assert pairs.lengths.tolist() == LENGTHS and pairs.widths == (2, 3) and pairs.present.all()


def test_what_is_none_or_nan_throughout_is_absent_on_either_side():
    first, second = ragged(), ragged(3)
    first[1], second[0], second[2] = None, NAN, np.full((4, 3), NAN)
    pairs = Pairs(first, second)
    assert pairs.present.tolist() == [[True, False], [False, True], [True, False]] + [[True, True]] * 3
    assert pairs.lengths.tolist() == LENGTHS
    batch = pairs.batch()
    assert batch.present.equal(pairs.present) and batch.victim[0].isnan().all() and batch.visible[1].isnan().all()
    np.testing.assert_array_equal(batch.visible[3, :2], first[3])
    assert Pairs(first[2:]).without_victim().present.tolist() == [[True, False]] * 4


def test_rows_are_chosen_as_in_numpy():
    first, second = ragged(), ragged(3)
    second[4] = None
    pairs = Pairs(first, second, groups=[*"aabbcc"])
    for rows in (2, slice(1, 4), [4, 0], np.array([5, 5]), np.arange(N) % 2 == 0, np.int64(3), -1):
        chosen = np.atleast_1d(np.arange(N)[rows])
        some = pairs[rows]
        assert same(some.visible, [first[k] for k in chosen]) and same(some.victim, [second[k] for k in chosen])
        assert some.groups.tolist() == [pairs.groups[k] for k in chosen]
    assert [len(one) for one in pairs] == [1] * N
    with pytest.raises(IndexError):
        pairs[N]


def test_the_splitters_of_scikit_learn_split_pairs():
    pairs, labels, groups = Pairs(ragged(), ragged(3)), np.array([0, 1] * 3), np.array([*"aabbcc"])
    for splitter in (GroupKFold(3), StratifiedKFold(3)):
        whose = groups if isinstance(splitter, GroupKFold) else None
        for train, test in splitter.split(pairs, labels, whose):
            assert len(_safe_indexing(pairs, train)) + len(_safe_indexing(pairs, test)) == N


def test_masked_arrays_hide_what_they_hide():
    hidden = np.zeros((N, 5, 3), bool)
    hidden[2] = True
    victim = np.ma.masked_array(np.where(hidden, -999.0, padded(ragged(3))), hidden)
    assert Pairs(padded(ragged()), victim).present[:, 1].tolist() == [True, True, False, True, True, True]


# ---- gaps, rates ------------------------------------------------------------------------------------------


def with_gap():
    first, second = ragged(lengths=[4]), ragged(3, lengths=[4])
    first[0][:, 0] = [0, NAN, 2, NAN]
    return first, second


def test_a_gap_is_refused_filled_or_dropped():
    first, second = with_gap()
    with pytest.raises(InputError, match="visible of pair 0 is NaN at step 1; gaps='fill' or gaps='drop'"):
        Pairs(first, second)
    filled, dropped = (Pairs(first, second, gaps=how) for how in ("fill", "drop"))
    assert filled.visible[0][:, 0].tolist() == [0, 1, 2, 2] and same(filled.victim, second)
    assert same(dropped.visible, [first[0][[0, 2]]]) and same(dropped.victim, [second[0][[0, 2]]])
    assert np.isnan(first[0][1, 0])  # what was handed over is left as it was


def test_a_feature_without_a_value_cannot_be_filled():
    first, second = with_gap()
    first[0][:, 1] = NAN
    with pytest.raises(InputError, match="visible of pair 0 has a feature that is NaN throughout"):
        Pairs(first, second, gaps="fill")


def test_two_rates_are_kept_and_systems_see_the_victim_at_the_visible_steps():
    fast, slow = np.arange(0, 2, 1 / 50)[:, None], np.arange(0, 2, 1 / 25)[:, None]
    with pytest.raises(InputError, match="pair 0 has 100 visible steps and 50 of the victim; with two rates say"):
        Pairs([fast], [slow])
    pairs = Pairs([fast], [slow], rates="own")
    assert len(pairs.victim[0]) == 50 and len(pairs[0].victim[0]) == 50
    shown = pairs.batch().victim[0, :, 0].numpy()
    np.testing.assert_allclose(shown[:99], fast[:99, 0], atol=1e-12)  # a straight line stays one


def test_one_window_is_enough_and_no_victim_is_needed():
    batch = Pairs(np.ones((1, 4, 2))).batch(widths=(2, 3))
    assert batch.victim.shape == (1, 4, 3) and batch.victim.isnan().all() and batch.present.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"visible": None, "victim": None}, "no sequences"),
        ({"visible": []}, "no sequences"),
        ({"visible": 3}, "visible must be an array or N sequences, found int"),
        (
            {"visible": np.ones((4, 3))},
            r"visible must have shape \(N, T, D\) or be N sequences \(l, D\), found \(4, 3\)",
        ),
        ({"visible": ragged(), "victim": ragged()[:4]}, "6 visible sequences, 4 victims"),
        ({"visible": [*ragged(2)[:2], np.ones((4, 3))]}, "visible of pair 2 has 3 features, the ones before it 2"),
        ({"visible": [np.ones((4, 2, 2))]}, "visible of pair 0 must be numbers of shape"),
        ({"visible": [np.array([["a"]])]}, "visible of pair 0 must be numbers"),
        ({"visible": [np.array([[1.0], [np.inf]])]}, "visible of pair 0 is infinite at step 1"),
        ({"visible": [None, np.ones((2, 1))], "victim": [None, None]}, "pair 0 holds neither"),
        ({"visible": np.ones((2, 4, 1)), "lengths": [4, 5]}, r"lengths must lie in 1\.\.4, found 5 at pair 1"),
        ({"visible": np.ones((2, 4, 1)), "lengths": [4.0, 4.0]}, "lengths must be 2 whole numbers"),
        ({"visible": ragged(), "victim": ragged(lengths=[3, 5, 9, 2, 5, 3])}, "pair 2 has 4 visible steps and 9"),
        ({"visible": ragged(), "gaps": "ignore"}, "unknown gaps 'ignore'; known: refuse, fill, drop"),
        ({"visible": ragged(), "rates": "two"}, "unknown rates 'two'"),
        ({"visible": ragged(), "groups": [1, 2]}, r"groups must have shape \(6,\)"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(given, says):
    with pytest.raises(InputError, match=says):
        Pairs(**given)


# ---- from pairs to a trained system -------------------------------------------------------------------------


def test_pairs_and_padded_arrays_make_the_same_samples():
    lengths = LENGTHS * 5
    first, second = ragged(2, lengths=lengths), ragged(3, 1, lengths)
    labels = np.arange(30) / 7
    ours = mmalign.from_arrays(Pairs(first, second), None, labels, groups=np.arange(30) // 2)
    lists = mmalign.from_arrays(first, second, labels, groups=np.arange(30) // 2)
    theirs = mmalign.from_arrays(padded(first), padded(second), labels, lengths, groups=np.arange(30) // 2)
    for one in (ours, lists):
        for part in ("train", "valid", "test"):
            a, b = getattr(one, part).batch, getattr(theirs, part).batch
            assert a.labels.equal(b.labels) and a.lengths.equal(b.lengths)
            assert a.visible[a.real].equal(b.visible[b.real]) and a.victim[a.real].equal(b.victim[b.real])
    assert ours.spec.modalities == theirs.spec.modalities


def test_labels_that_nobody_knows_are_none_or_nan():
    pairs = Pairs(ragged(lengths=LENGTHS * 5), ragged(3, lengths=LENGTHS * 5))
    names = np.array(["sit", "walk", None] * 10, dtype=object)
    scores = np.where(np.arange(30) % 3 == 2, NAN, np.arange(30) / 7)
    for labels in (names, scores, pd.Series(scores), [*names]):
        data = mmalign.from_arrays(pairs, None, labels)
        assert int(data.source.labelled.sum()) == 20


def test_where_the_visible_sequence_is_absent_only_systems_that_can_do_without_are_trained():
    first, second = ragged(lengths=LENGTHS * 5), ragged(3, lengths=LENGTHS * 5)
    first[::5] = [None] * 6
    data = mmalign.from_arrays(Pairs(first, second), None, np.array(["sit", "walk"] * 15))
    with pytest.raises(InputError, match="needs the visible modality of every sample"):
        mmalign.MMAlign.from_data(data)
    model = mmalign.neighbours.LateFusion.from_data(data)
    mmalign.fit(model, data, mmalign.TrainConfig(epochs=2), progress=False)
    assert 0 <= mmalign.evaluate(model, data.test)["accuracy"] <= 1
    assert data.source.describe()["visible missing"] == "6"


def test_a_pair_is_told_in_one_line():
    pairs = Pairs(ragged(), [None, *ragged(3)[1:]], groups=[*"aabbcc"])
    assert (
        repr(pairs)
        == "6 pairs; visible (2 features, 2 to 5 steps); victim (3 features, 2 to 5 steps, absent in 1); 3 groups"
    )


# ---- data frames -------------------------------------------------------------------------------------------


def framed(columns=("x", "y"), count=6):
    draw = np.random.default_rng(0)
    return [pd.DataFrame(draw.normal(size=(4, 2)), columns=[*columns]) for _ in range(count)]


def test_the_columns_of_data_frames_are_names():
    assert Pairs(framed(), framed(("u", "v"))).names == ("visible x,y", "victim u,v")
    assert Pairs(framed(), framed()).names == ("visible x,y", "victim x,y")
    assert Pairs(framed(), framed(), names=("acc", "gyro")).names == ("acc", "gyro")


def test_data_frames_whose_columns_stand_in_another_order_are_refused():
    frames = framed()
    frames[3] = frames[3][["y", "x"]]
    with pytest.raises(InputError, match="visible of pair 3 has the columns y, x, the ones before it x, y"):
        Pairs(frames)


def test_what_float32_cannot_hold_is_called_that():
    values = np.ones((6, 4, 2))
    values[3, 2, 0] = 1e300
    with pytest.raises(InputError, match=r"must fit into float32, found 1e\+300 at sample 0, step 14"):
        Pairs(values).source([0.5] * 6)
