"""Figures show what they are given."""

import html
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
import torch

from mmalign import masks
from mmalign.figures import pages, palette, plots

pytestmark = pytest.mark.usefixtures("canvas")


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
    seeds_and_mean = [line.get_ydata().tolist() for line in ax.lines[:3]]
    assert seeds_and_mean == [[0.1, 0.5], [0.3, 0.9], pytest.approx([0.2, 0.7])]
    assert [line.get_color() for line in ax.lines[3:]] == [palette.colour("single"), palette.colour("double")]


def test_a_figure_lands_on_the_axes_that_are_given():
    _, ax = mpl.pyplot.subplots()
    assert plots.show_matrix(torch.rand(2, 2), ax) is ax and plots.show_curves({"one": [1.0]}, ax) is ax


# ---- on a page


def test_a_phone_gets_the_panels_of_a_figure_one_below_the_other():
    figure, axes = mpl.pyplot.subplots(1, 3, figsize=(8, 3), sharey=True)
    axes[0].plot([0, 1], label="single")
    axes[0].set(xlabel="step", ylabel="value")
    wide, narrow = pages.wide(figure), pages.narrow(figure)
    assert len({round(ax.get_position().x0, 2) for ax in axes}) == 1
    tops = [ax.get_position().y1 for ax in axes]
    assert tops == sorted(tops, reverse=True)
    assert [ax.get_ylabel() for ax in axes] == ["value"] * 3
    width, height = (float(value) for value in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', narrow).groups())
    assert width < 330 < height and 'viewBox="0 0 5' in wide


def test_no_word_of_a_picture_is_smaller_than_a_phone_can_show():
    figure, ax = mpl.pyplot.subplots()
    ax.set_title("small", fontsize=4)
    assert min(float(size) for size in re.findall(r"font(?:-size)?: ([\d.]+)px", pages.svg(figure))) >= pages.SMALLEST


def test_a_picture_is_the_same_bytes_every_time_and_tells_its_colours():
    def draw():
        figure, ax = mpl.pyplot.subplots()
        ax.plot([0, 1], color=palette.colour("double"), label="double")
        ax.bar([0], [1], color=palette.colour("single"), label="single")
        ax.legend()
        return pages.svg(figure)

    assert draw() == draw()
    told = json.loads(html.unescape(re.search(r"<dc:description>(.*?)</dc:description>", draw()).group(1)))
    assert told == {"double": palette.COLOURS["victim"].lower(), "single": palette.COLOURS["visible"].lower()}


def test_on_a_phone_long_names_take_several_lines_and_numbers_do_not():
    figure, (numbers, names) = mpl.pyplot.subplots(1, 2)
    numbers.semilogy([1e-9, 1])
    names.barh(["a name that is longer than its panel", "b"], [1, 2])
    picture = re.sub("<!--.*?-->", "", pages.narrow(figure))
    assert "mathdefault" not in picture and names.get_yticklabels()[0].get_text().count("\n") == 2


def test_outside_of_a_notebook_nothing_is_installed():
    pages.install()
