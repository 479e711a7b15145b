"""Planted data keep their promise: the alignment and the label are what they say."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmalign import InputError
from mmalign.data import planted

CLEAN = {"first_noise": 0.0, "second_noise": 0.0, "label_noise": 0.0, "samples": 200}


def explained(features, labels):
    """Share of the labels' variance that a linear map of each sample's mean step explains."""
    features = torch.cat([features, torch.ones(len(features), 1)], dim=1).double()
    labels = labels.double()
    guess = features @ torch.linalg.lstsq(features, labels[:, None], driver="gelsd").solution
    return 1 - ((guess[:, 0] - labels).square().mean() / labels.var(correction=0)).item()


def means(source, name):
    return source.features[name].sum(1) / source.lengths[:, None]


@given(st.integers(0, 4), st.integers(1, 6), st.integers(0, 6))
def test_steps_move_inside_blocks_of_the_window_and_padding_stays(window, shortest, more):
    source = planted.read(samples=20, window=window, shortest=shortest, longest=shortest + more)
    for match, length in zip(source.answers["match"].tolist(), source.lengths.tolist(), strict=True):
        assert sorted(match[:length]) == list(range(length))
        assert all(s // (window + 1) == t // (window + 1) for t, s in enumerate(match[:length]))
    real = torch.arange(source.features["first"].shape[1]) < source.lengths[:, None]
    assert not any(values[~real].any() for values in source.features.values())


def test_without_noise_the_second_modality_shows_the_step_that_the_answer_names():
    """first[match] and second share their content; first and second, step by step, do not."""
    source = planted.read(**CLEAN, shortest=20, longest=20)
    first, second, match = source.features["first"], source.features["second"], source.answers["match"]
    moved = first.gather(1, match[:, :, None].expand_as(first))
    ranks = [
        torch.linalg.matrix_rank(torch.cat([one, second], 2).flatten(0, 1).double(), rtol=1e-5)
        for one in (moved, first)
    ]
    assert [int(rank) for rank in ranks] == [4 + 2, 4 + 4 + 2]


@pytest.mark.parametrize(("share", "visible", "victim"), [(0.0, 1.0, 1.0), (0.5, 0.5, 1.0), (1.0, 0.0, 1.0)])
def test_the_victim_carries_its_share_of_the_label(share, visible, victim):
    source = planted.read(**CLEAN, victim_share=share)
    assert explained(means(source, "first"), source.labels) == pytest.approx(visible, abs=0.12)
    assert explained(means(source, "second"), source.labels) == pytest.approx(victim, abs=1e-3)


def test_classes_are_equally_frequent():
    source = planted.read(samples=300, task="classification", classes=4)
    assert torch.bincount(source.labels).tolist() == [75] * 4 and len(source.classes) == 4


def test_the_draw_decides_the_samples_and_nothing_else_does():
    torch.manual_seed(1)
    first = planted.read(samples=20)
    torch.manual_seed(2)
    assert planted.read(samples=20).digest == first.digest != planted.read(samples=20, draw=1).digest


@pytest.mark.parametrize(
    ("knob", "named"),
    [
        ({"samples": 4}, "samples"), ({"longest": 3}, "longest"), ({"victim_share": 1.5}, "victim_share"),
        ({"task": "ranking"}, "task"), ({"classes": 1}, "classes"), ({"first_noise": -1}, "first_noise"),
        ({"tempo": 3}, "tempo"),
    ],
)  # fmt: skip
def test_a_bad_knob_is_refused_by_its_name(knob, named):
    with pytest.raises(InputError, match=named):
        planted.read(**knob)
