"""Scales, positions, the head in front."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmalign.method.encoders import Embed, Standardise, sinusoidal_positions

REAL = torch.tensor([[True, True, True], [True, False, False]])


@given(st.integers(1, 9), st.sampled_from([2, 6, 8]))
def test_positions_are_waves_of_falling_frequency(steps, width):
    waves = sinusoidal_positions(steps, width, torch.device("cpu"))
    for t in range(steps):
        for i in range(0, width, 2):
            angle = t / 10_000 ** (i / width)
            assert waves[t, i : i + 2].tolist() == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-5)


def test_learnt_scales_give_mean_zero_and_spread_one_and_leave_a_constant_feature_alone():
    scale = Standardise(2, cut=100.0)
    values = torch.stack([5 + 3 * torch.randn(200), torch.full((200,), 7.0)], dim=1)
    scale.learn(values)
    clean = scale(values[None], torch.ones(1, 200, dtype=torch.bool))[0]
    assert clean.mean(0).tolist() == pytest.approx([0, 0], abs=1e-4)
    assert clean.std(0, correction=0).tolist() == pytest.approx([1, 0], abs=1e-4)


def test_outliers_are_cut_and_padding_is_zero_whatever_it_holds():
    scale = Standardise(1, cut=5.0)
    clean = scale(torch.tensor([[[1e9], [-1e9], [2.0]], [[1.0], [math.nan], [math.inf]]]), REAL)
    assert clean[..., 0].tolist() == [[5, -5, 2], [1, 0, 0]]


@pytest.mark.parametrize("positional", ["sinusoidal", "none"])
@pytest.mark.parametrize("cls", ["learned", "zeros"])
def test_the_head_stands_in_front_and_padding_is_zero(positional, cls):
    embed = Embed(2, 4, 3, positional, cls, 5.0)
    states = embed(torch.randn(2, 3, 2), REAL)
    assert states.shape == (2, 4, 4) and not states[1, 2:].any()
    torch.testing.assert_close(states[:, 0], embed.head().expand(2, -1))


def test_padding_never_reaches_a_real_step_through_the_convolution():
    embed, features = Embed(2, 4, 3, "sinusoidal", "learned", 5.0), torch.randn(2, 3, 2)
    states = embed(features, REAL)
    features[1, 1:] = 1e6
    assert embed(features, REAL).equal(states)


def test_a_head_of_zeros_is_no_parameter_and_a_learnt_one_is():
    names = {
        cls: {name for name, _ in Embed(2, 4, 1, "none", cls, 5.0).named_parameters()} for cls in ("learned", "zeros")
    }
    assert names["learned"] - names["zeros"] == {"cls"}
