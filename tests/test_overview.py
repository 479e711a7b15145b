"""The figure of the whole method lights what it is asked to."""

import pytest
from matplotlib.colors import to_hex

from mmalign.figures import overview, pages, palette, plots

pytestmark = pytest.mark.usefixtures("canvas")


def edges(ax):
    return [to_hex(patch.get_edgecolor()) for patch in ax.patches]


def test_the_victims_colour_is_in_learning_and_that_of_its_stand_in_in_decoding():
    learning, decoding = overview.show_overview()
    victim, imagined = (palette.colour(name) for name in ("victim", "imagined"))
    assert victim.lower() in edges(learning) and imagined.lower() not in edges(learning)
    assert imagined.lower() in edges(decoding) and victim.lower() not in edges(decoding)


def lit(axes):
    return {words.get_text() for ax in axes for words in ax.texts if words.get_color() == plots.WORDS} - {""}


def test_each_word_belongs_to_one_part_and_stands_out_with_it():
    shares = [lit(overview.show_overview(part)) for part in overview.PARTS]
    assert all(shares) and sum(map(len, shares)) == len(set.union(*shares))
    assert set.union(*shares) == lit(overview.show_overview())


def test_what_is_not_lit_has_no_colour_of_its_own():
    roles = {shade.lower() for shade in palette.COLOURS.values()}
    assert not roles & {*edges(overview.show_overview("solver")[0])}


def test_a_part_that_does_not_exist_is_refused_by_name():
    with pytest.raises(ValueError, match="solvers"):
        overview.show_overview("solvers")


def test_on_a_phone_decoding_stands_below_learning():
    learning, decoding = overview.show_overview()
    assert pages.narrow(learning.figure).startswith("<?xml")
    assert decoding.get_position().y1 < learning.get_position().y0
