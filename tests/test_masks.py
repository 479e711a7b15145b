"""Real steps, and the two ways to store a window."""

import oracles
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmalign import masks

steps, windows = st.integers(1, 7), st.integers(0, 9)


@given(steps, windows)
def test_a_band_becomes_the_matrix_it_stands_for(T, W):
    band = torch.randn(2, T, 2 * W + 1)
    assert masks.to_dense(band).equal(oracles.to_dense(band))


@given(steps, windows)
def test_a_matrix_survives_the_band_inside_the_window_and_only_there(T, W):
    dense = torch.randn(2, T, T)
    place = torch.arange(T)
    near = (place[:, None] - place).abs() <= W
    assert masks.to_dense(masks.to_band(dense, W)).equal(dense * near)


@given(steps, windows)
def test_a_transposed_band_is_the_band_of_the_transposed_matrix(T, W):
    dense = torch.randn(2, T, T)
    assert masks.transpose_band(masks.to_band(dense, W)).equal(masks.to_band(dense.mT.contiguous(), W))


@given(st.integers(1, 7), windows, st.integers(0, 3))
def test_an_entry_is_open_where_both_of_its_steps_are_real(length, W, extra):
    T = length + extra
    real = masks.real_steps(torch.tensor([length, T]), T)
    both = real[:, :, None] & real[:, None, :]
    assert masks.open_band(real, W).equal(masks.to_band(both.float(), W) > 0)


def test_the_head_is_always_real():
    assert masks.with_head(torch.tensor([[True, False]])).tolist() == [[True, True, False]]
