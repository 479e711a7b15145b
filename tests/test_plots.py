"""Figures show what they are given."""

import html
import json
import re

import matplotlib as mpl
import numpy as np
import pytest
import torch

from mmalign import masks
from mmalign.errors import InputError
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


def test_matrices_in_a_row_say_once_what_they_share():
    axes = plots.show_matrices({"a": torch.eye(3), "b": torch.rand(3, 3)}, high=1, label="share", rows="row")
    assert [ax.get_title() for ax in axes] == ["a", "b"] and [ax.get_ylabel() for ax in axes] == ["row", ""]
    assert [len(ax.child_axes) for ax in axes] == [0, 1]  # the colour bar
    assert {ax.images[0].get_clim() for ax in axes} == {(0, 1)}


def test_lines_lead_from_a_ring_to_the_two_steps_that_are_partners():
    ax = plots.show_matrix(torch.rand(3, 4), sequences=([1, 2, 3], ["a", "b", "c", "d"]))
    plots.rings(ax, [1, 3], [2, 0])
    up, beside = (line.get_xydata().tolist() for line in ax.lines)
    assert up[:2] == [[1, -0.5], [1, 2]] and up[3:5] == [[3, -0.5], [3, 0]]  # to the words above
    assert beside[:2] == [[1, 2], [3.5, 2]] and beside[3:5] == [[3, 0], [3.5, 0]]  # to the numbers at the right
    ax = plots.show_matrix(torch.rand(3, 4))
    plots.rings(ax, [1], [2])
    assert not ax.lines


def test_an_absent_sequence_cannot_stand_along_a_matrix():
    with pytest.raises(InputError, match="victim sequence"):
        plots.show_matrix(torch.rand(2, 2), sequences=([1, 2], [float("nan")] * 2))


def test_steps_and_epochs_have_whole_numbers():
    whole, between = plots.show_curves({"a": [1, 2, 3]}), plots.show_curves({"a": [1, 2]}, x=[0, 0.5])
    assert all(float(tick).is_integer() for tick in whole.get_xticks())
    assert not all(float(tick).is_integer() for tick in between.get_xticks())


def test_a_part_of_a_diagram_has_a_pale_shade_of_its_role():
    _, ax = mpl.pyplot.subplots()
    plots.box(ax, 1, 2, 4, 2, "head", role="victim")
    (part,) = ax.patches
    assert mpl.colors.to_hex(part.get_facecolor()) == palette.COLOURS["victim"].lower()
    assert part.get_facecolor()[3] < 0.3 and part.get_bbox().bounds == (-1, 1, 4, 2)


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


def test_a_number_on_an_axis_keeps_its_digits_and_a_formula_its_primes():
    figure, ax = mpl.pyplot.subplots()
    ax.set_yticks([0.005, 0.0125], ["0.005", "0.0125"])
    ax.set_title("weight $S'_{ij}$")
    picture = re.sub("<!--.*?-->", "", pages.svg(figure))
    assert ">0.005<" in picture and ">0.0125<" in picture
    assert ">′<" in picture and "cmsy" not in picture and not re.search(r"d=\"[^\"]*\d\.\d{3}", picture)


def test_on_a_phone_each_row_of_panels_begins_a_line_and_each_panel_has_its_title():
    figure, axes = mpl.pyplot.subplots(2, 3)
    for place, ax in enumerate(axes.flat):
        ax.imshow(np.eye(3))
        ax.set_title("abc"[place] if place < 3 else "")
    pages.narrow(figure)
    tops = [round(ax.get_position().y1, 3) for ax in axes.flat]
    assert tops[0] == tops[1] > tops[2] > tops[3] == tops[4] > tops[5]
    assert [ax.get_title() for ax in axes.flat] == [*"abcabc"]


def test_on_a_phone_a_legend_of_two_columns_keeps_its_place_and_its_names():
    figure, ax = mpl.pyplot.subplots()
    ax.plot([0, 1], label="a name that is longer than half a phone")
    ax.errorbar([0, 1], [0, 1], yerr=0.1, label="and another one of the same length")
    legend = ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    picture = pages.narrow(figure)
    assert "another one" in re.sub("<!--.*?-->|<metadata>.*?</metadata>", "", picture)
    (left, low), _ = ax.transAxes.inverted().transform(legend.get_window_extent().get_points())
    assert low > 0.98 and left > -0.2 and len(legend.get_texts()) == 2


def test_on_a_phone_a_legend_outside_of_the_panels_covers_none_of_them():
    figure, axes = mpl.pyplot.subplots(1, 2, layout="constrained")
    for ax in axes:
        ax.plot([[0] * 5, [1] * 5], label=[*"abcde"])
        ax.set_xlabel("step")
    legend = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    pages.narrow(figure)
    renderer = figure.canvas.get_renderer()
    box = legend.get_window_extent(renderer)
    assert not any(ax.get_tightbbox(renderer).overlaps(box) for ax in axes)


def test_on_a_phone_rows_whose_names_take_several_lines_have_room():
    figure, ax = mpl.pyplot.subplots(figsize=(7, 2))
    ax.barh([f"a name that is longer than its panel, number {n}" for n in range(9)], range(9))
    pages.narrow(figure)
    assert figure.get_size_inches()[1] > 0.15 * 9 * 3


def test_panels_in_pairs_share_the_names_of_their_axes():
    figure, axes = mpl.pyplot.subplots(2, 3)
    for ax in axes.flat:
        ax.imshow(np.eye(3))
    axes[1, 1].set_xlabel("step")
    axes[1, 0].set_ylabel("row")
    pages.narrow(figure)
    assert {ax.get_xlabel() + ax.get_ylabel() for ax in axes.flat} == {""}
    assert figure.get_supxlabel() == "step" and figure.get_supylabel() == "row"


def test_on_a_phone_a_title_stays_above_what_stands_along_a_matrix():
    ax = plots.show_matrix(torch.rand(3, 3), title="plan", sequences=([1, 2, 3], [1, 2, 3]))
    pages.narrow(ax.figure)
    assert ax.title.get_position()[1] > 1.19


def test_a_picture_tells_the_colours_of_its_rows():
    figure, ax = mpl.pyplot.subplots()
    ax.set_yticks([0, 1], ["double", "single"])
    ax.plot([0.1, 0.2], [0, 0], color=palette.colour("double"))
    ax.plot(0.3, 1, "o", color=palette.colour("single"))
    assert pages.colours(figure) == {name: palette.colour(name).lower() for name in ("double", "single")}
    ax.yaxis.set_major_locator(mpl.ticker.FixedLocator([0, 1, 2]))  # a tick without a name
    assert {*pages.colours(figure)} == {"double", "single"}


def test_on_a_phone_long_names_take_several_lines_and_numbers_do_not():
    figure, (numbers, names) = mpl.pyplot.subplots(1, 2)
    numbers.semilogy([1e-9, 1])
    names.barh(["a name that is longer than its panel", "b"], [1, 2])
    picture = re.sub("<!--.*?-->", "", pages.narrow(figure))
    assert "mathdefault" not in picture and names.get_yticklabels()[0].get_text().count("\n") == 2


def test_outside_of_a_notebook_nothing_is_installed():
    pages.install()
