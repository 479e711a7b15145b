"""Planted data keep their promise: the alignment and the label are what they say."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmalign import InputError
from mmalign.data import planted
from mmalign.data.planted import ORDERS, PlantedConfig

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


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("order", ORDERS)
def test_what_torch_takes_a_new_number_to_be_changes_no_sample(order, task, take_new_numbers_to_be):
    usual = planted.read(True, samples=30, order=order, task=task)
    told = usual.foretold()
    take_new_numbers_to_be(torch.float64)
    other = planted.read(True, samples=30, order=order, task=task)
    assert other.digest == usual.digest
    assert torch.equal(other.foretold(), told)


def test_without_new_knobs_the_samples_are_those_of_the_stored_runs():
    source = planted.read()
    assert source.lengths[:8].tolist() == [20, 17, 11, 13, 18, 13, 14, 10]
    assert source.answers["match"][0, :9].tolist() == [2, 1, 0, 4, 3, 5, 7, 6, 8]
    assert source.labels[:4].tolist() == pytest.approx([0.33954, 0.53096, 1.32811, -1.60528], abs=1e-4)
    assert source.features["second"][0, 0, :3].tolist() == pytest.approx([4.39076, 0.13439, -0.14643], abs=1e-4)


# ---- orders that can be foretold ---------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@given(st.integers(0, 4), st.integers(1, 6), st.integers(0, 6))
def test_no_step_moves_further_than_the_window_or_out_of_its_sequence(order, window, shortest, more):
    source = planted.read(samples=20, order=order, window=window, shortest=shortest, longest=shortest + more)
    place = torch.arange(shortest + more).expand_as(source.answers["match"])
    real = place < source.lengths[:, None]
    match = source.answers["match"]
    assert ((match - place).abs() <= window).all() and (match[~real] == place[~real]).all()
    assert (match >= 0).all() and (match[real] < source.lengths[:, None].expand_as(match)[real]).all()


def test_a_rule_sorts_each_block_by_what_is_visible():
    config = PlantedConfig(order="rule", samples=50, window=3)
    made = planted.make(config)
    sorted_ = made.content[..., 0].gather(1, made.match)
    for row, length in zip(sorted_, made.lengths.tolist(), strict=True):
        for start in range(0, length, 4):
            block = row[start : min(start + 4, length)]
            assert (block.diff() >= 0).all()


@pytest.mark.parametrize(
    ("order", "first", "match"),
    [
        ("rule", [3.0, 1.0, 2.0, -1.0, 0.0, -2.0], [1, 2, 0, 5, 3, 4]),
        ("lag", [0.0] * 6, [0, 0, 0, 1, 2, 3]),
        ("repeat", [1.0, -1.0, 1.0, -1.0, 1.0, -1.0], [0, 0, 1, 3, 4, 4]),
        ("repeat", [-1.0] * 6, [0, 1, 2, 3, 4, 5]),
        ("drift", [9.0] * 6, [0, 1, 3, 4, 5, 5]),  # ahead by 0, .4, .8, 1.2, 1.6, 2 steps
        ("drift", [-9.0] * 6, [0, 1, 1, 2, 2, 3]),
        ("drift", [0.0] * 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_an_order_moves_steps_as_its_description_says(order, first, match):
    config = PlantedConfig(order=order, window=2, shortest=6, longest=6, content=1, samples=5)
    content = torch.tensor(first)[None, :, None]
    found = planted.match_of(content, torch.tensor([6]), config, torch.Generator())
    assert found.tolist() == [match]


@pytest.mark.parametrize("order", ORDERS)
def test_a_label_that_tells_order_is_another_where_the_steps_lie_elsewhere(order):
    config = PlantedConfig(order=order, label="order", samples=100, victim_share=0.0, label_noise=0.0)
    made = planted.make(config)
    straight = torch.arange(config.longest).expand_as(made.match)
    by_order = planted.score(made.content, straight, made.private, made, config)
    assert (by_order - made.label).abs().median() > 0.1
    plain = PlantedConfig(order=order, label="mean", samples=100, victim_share=0.0, label_noise=0.0)
    made = planted.make(plain)
    torch.testing.assert_close(planted.score(made.content, straight, made.private, made, plain), made.label)


@pytest.mark.parametrize("order", ORDERS)
def test_without_noise_the_order_is_foretold_and_at_random_it_is_even(order):
    source = planted.read(order=order, samples=60, shortest=9, longest=9, first_noise=0.0)
    truth = F.one_hot(source.answers["match"], 9).float()
    if order == "random":
        truth = torch.block_diag(*[torch.full((3, 3), 1 / 3)] * 3).expand(60, 9, 9)
        torch.testing.assert_close(source.foretold(), truth, atol=0.2, rtol=0)  # six spreads of 200 draws
    else:
        assert (source.foretold() - truth).abs().mean() < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_foretold_comes_true_as_often_as_it_says(order):
    source = planted.read(order=order, samples=2000)
    foretold, match = source.foretold(), source.answers["match"]
    torch.testing.assert_close(foretold.sum(2), torch.ones(match.shape))
    truth = F.one_hot(match, match.shape[1]).float()
    for least in (0.05, 0.3, 0.6, 0.9):
        said = (foretold > least) & (foretold <= least + 0.3)
        if said.sum() > 1000:
            torch.testing.assert_close(truth[said].mean(), foretold[said].mean(), atol=0.02, rtol=0)


def test_only_the_second_modality_shows_which_steps_count():
    made = planted.make(PlantedConfig(order="rule", second_noise=0.0, samples=50))
    seen = made.second.flatten(0, 1).double()
    marks = planted.marks(PlantedConfig(order="rule")).expand(50, -1).flatten().double()
    guess = seen @ torch.linalg.lstsq(seen, marks[:, None], driver="gelsd").solution
    torch.testing.assert_close(guess[:, 0], marks, atol=1e-3, rtol=0)


def test_an_order_that_can_be_foretold_has_a_label_that_tells_it_unless_asked_otherwise():
    assert not PlantedConfig().tells_order and PlantedConfig(order="lag").tells_order
    assert PlantedConfig(label="order").tells_order and not PlantedConfig(order="rule", label="mean").tells_order


@pytest.mark.parametrize(
    ("knob", "named"),
    [
        ({"samples": 4}, "samples"), ({"longest": 3}, "longest"), ({"victim_share": 1.5}, "victim_share"),
        ({"task": "ranking"}, "task"), ({"classes": 1}, "classes"), ({"first_noise": -1}, "first_noise"),
        ({"tempo": 3}, "tempo"), ({"order": "sorted"}, "order"), ({"label": "last"}, "label"),
    ],
)  # fmt: skip
def test_a_bad_knob_is_refused_by_its_name(knob, named):
    with pytest.raises(InputError, match=named):
        planted.read(**knob)
