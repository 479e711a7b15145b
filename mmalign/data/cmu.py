"""CMU-MOSI and CMU-MOSEI word by word, from the pickles that the public code of MM-Align and BBFN reads.

`train.pkl`, `dev.pkl`, `test.pkl`, each a list of samples ((word ids, visual, acoustic, words), label, segment), and
`embedding_and_mapping.pt`, what the ids stand for.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..gate.limits import check_claim
from ..gate.torches import load_torch
from ..gate.unpickle import load_pickle
from .assemble import Part, from_words, source_of
from .source import Source

WORD_FILES = ("train.pkl", "dev.pkl", "test.pkl")  # in the order of PARTS
EMBEDDING = "embedding_and_mapping.pt"


def samples_of(path: Path) -> list:
    """The samples of a pickled list."""
    samples = load_pickle(path)
    if not isinstance(samples, list) or not samples:
        raise InputError(f"{path} must hold a list of samples, found a {type(samples).__name__}")
    return samples


def word_table(path: Path, values: object) -> Tensor:
    """(V, D) float32 what the words of a text stand for."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite, and is refused as such
            values = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    if not isinstance(values, Tensor) or values.ndim != 2 or 0 in values.shape or not values.is_floating_point():
        raise InputError(f"{path} must hold a matrix of word vectors, found a {type(values).__name__}")
    for size in (values.untyped_storage().nbytes(), values.numel() * values.element_size()):
        check_claim(path, "the word vectors", size)  # a tensor may show one number a million times
    if not values.isfinite().all():
        raise InputError(f"{path}: the word vectors must be finite")
    return values.float().contiguous()


def read_words(name: str, folder: Path) -> Source:
    """The word-by-word form, from its folder."""
    path = folder / EMBEDDING
    content = load_torch(path)
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise InputError(f"{path} must hold a matrix and a mapping, found a {type(content).__name__}")
    table = word_table(path, content[0])
    parts = [_word_part(name, folder / file, table) for file in WORD_FILES]
    return source_of(name, parts, "one step a word, as the code of MM-Align and BBFN reads it")


def _word_part(name: str, path: Path, table: Tensor) -> Part:
    samples, labels = [], []
    for place, sample in enumerate(samples_of(path)):
        if not (_row(sample, 3) and _row(sample[0], 4)):
            raise InputError(f"{path}, sample {place} must be ((ids, visual, acoustic, words), label, segment)")
        samples.append(dict(zip(("text", "video", "audio"), sample[0], strict=False)))
        labels.append(sample[1])
    return from_words(path, name, samples, labels, table)


def _row(value: object, length: int) -> bool:
    return isinstance(value, tuple | list) and len(value) == length
