"""Figures show what they are given."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from mmalign import masks
from mmalign.figures import plots


@pytest.fixture(autouse=True)
def canvas():
    """Draw without a screen, and leave the reader's settings as they were."""
    before = mpl.get_backend()
    mpl.use("agg")
    with mpl.rc_context():
        plots.style()
        yield
    mpl.pyplot.close("all")
    mpl.use(before)


def shown(ax):
    return np.ma.filled(ax.images[0].get_array().astype(float), np.nan)


def test_a_matrix_is_drawn_entry_by_entry_and_outside_the_window_nothing():
    values = torch.rand(4, 4)
    np.testing.assert_allclose(shown(plots.show_matrix(values)), values)
    inside = shown(plots.show_matrix(values, window=1))
    near = abs(np.subtract.outer(range(4), range(4))) <= 1
    assert (np.isnan(inside) == ~near).all() and np.allclose(inside[near], values.numpy()[near])


def test_a_band_is_drawn_as_the_matrix_it_stands_for():
    band = torch.rand(4, 3, requires_grad=True)
    dense = masks.to_dense(band.detach()[None])[0]
    near = abs(np.subtract.outer(range(4), range(4))) <= 1
    np.testing.assert_allclose(shown(plots.show_band(band))[near], dense.numpy()[near])


def test_every_curve_has_a_look_of_its_own_and_its_name():
    curves = {f"curve {place}": [place, place + 1.0] for place in range(6)}
    ax = plots.show_curves(curves, mark=1, title="title")
    lines = ax.lines[:6]
    assert [line.get_label() for line in lines] == list(curves) and ax.get_title() == "title"
    assert [line.get_ydata().tolist() for line in lines] == list(curves.values())
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 6


def test_paired_scores_are_one_line_a_seed_and_their_mean():
    ax = plots.show_paired({"single": [0.1, 0.3], "double": [0.5, 0.9]})
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.1, 0.5], [0.3, 0.9], pytest.approx([0.2, 0.7])]


def test_a_figure_lands_on_the_axes_that_are_given():
    _, ax = mpl.pyplot.subplots()
    assert plots.show_matrix(torch.rand(2, 2), ax) is ax and plots.show_curves({"one": [1.0]}, ax) is ax
