"""From the sequences of a file to a checked source: what all readers of spoken language share.

Five data sets of people who speak: what they say (`text`), show (`video`) and sound like (`audio`), step by step
in time with one another, already split into training, validation and test.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..gate.limits import check_claim
from .ragged import Ragged, unpad
from .source import Source
from .speech import MODALITIES, SPEECH, Speech

PARTS = ("train", "valid", "test")  # in the order of TRAIN, VALID, TEST


class Part(NamedTuple):
    """Training, validation or test samples."""

    features: dict[str, Ragged]
    labels: Tensor  # (N,)
    empty: int = 0  # samples without a step
    silent: int = 0  # values of -inf in audio
    notes: tuple[str, ...] = ()  # what else was done to them


def labels_of(path: Path, name: str, values: np.ndarray) -> Tensor:
    """(N,) labels of a data set from the array of a file."""
    speech = SPEECH[name]
    columns = 0 if values.ndim == 1 else int(np.prod(values.shape[1:]))
    if values.ndim == 0 or values.dtype.kind not in "fiu" or columns not in speech.columns or 0 in values.shape:
        raise InputError(f"{path} must hold {_expected(speech)}, found {values.dtype} of shape {values.shape}")
    values = values.reshape(len(values), -1)
    if speech.one_hot:
        if not (np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()):
            raise InputError(f"{path} must hold one 1 and zeros for each sample")
        return torch.from_numpy(values.argmax(1))
    values = values[:, speech.column]
    low, high = (0, len(speech.classes) - 1) if speech.classes else (speech.low, speech.high)
    wrong = ~((values >= low) & (values <= high))  # True for NaN
    if speech.classes:
        wrong |= values != np.floor(values)
    for place in wrong.nonzero()[0][:1]:
        raise InputError(f"{path} must hold {_expected(speech)}, found {values[place]} at sample {place}")
    if speech.classes:
        return torch.from_numpy(values.astype(np.int64))
    return torch.from_numpy(values.astype(np.float32)) - speech.neutral


def _expected(speech: Speech) -> str:
    shapes = " or ".join(f"(N, {columns})" if columns else "(N,)" for columns in speech.columns)
    if speech.classes and not speech.one_hot:
        return f"classes from 0 to {len(speech.classes) - 1} of shape {shapes}"
    return f"scores from {speech.low:g} to {speech.high:g} of shape {shapes}"


def as_float32(
    path: Path, modality: str, values: np.ndarray, where: Callable[[int], tuple[int, int]]
) -> tuple[np.ndarray, int]:
    """(L, D) float32 of (L, D) numbers that are finite and fit; but -inf in audio, the logarithm of silence, is 0.

    Args:
        where: from a row to its sample and step.

    Returns:
        The numbers, and how many were -inf.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.require(values, np.float32, "CW")
    odd, silent = ~np.isfinite(steps), 0
    if modality == "audio" and odd.any():
        lowest = np.isneginf(values)
        silent = int(lowest.sum())
        steps = np.where(lowest, np.float32(0), steps)
        odd &= ~lowest
    for row, column in np.argwhere(odd)[:1]:
        sample, step = where(int(row))
        value = values[row, column]
        found = f"{value:.4g}, which float32 cannot hold," if np.isfinite(value) else "NaN or infinity"
        raise InputError(f"{path}: {modality} must be finite, found {found} at sample {sample}, step {step}")
    return steps, silent


def check_shape(path: Path, modality: str, values: np.ndarray, count: int) -> None:
    """Raise `InputError` unless these are numbers (N, T, D) of `count` samples."""
    if values.ndim != 3 or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise InputError(f"{path}: {modality} must be numbers of shape (N, T, D), found {values.dtype} {values.shape}")
    if len(values) != count:
        raise InputError(f"{path}: {modality} holds {len(values)} samples, labels {count}")


def to_ragged(steps: np.ndarray, lengths: np.ndarray) -> Ragged:
    """Sequences that follow one another, from (L, D) numbers and (N,) lengths."""
    return Ragged.of_lengths(torch.from_numpy(steps), torch.from_numpy(lengths.astype(np.int64)))


def from_padded(name: str, features: dict[str, tuple[Path, np.ndarray]], labels: Tensor) -> Part:
    """A part whose modalities (N, T, D), each with the file that it is from, are padded to one number of steps."""
    ready, silent = {}, 0
    for modality, (path, values) in features.items():
        check_shape(path, modality, values, len(labels))
        _, steps, width = values.shape
        flat, some = as_float32(path, modality, values.reshape(-1, width), lambda row, steps=steps: divmod(row, steps))
        ready[modality] = flat.reshape(values.shape)
        silent += some
    shapes = {modality: values.shape for modality, values in ready.items()}
    if len({shape[1] for shape in shapes.values()}) > 1:
        raise InputError(f"{path}: modalities must have the same number of steps, found {shapes}")
    ragged, empty = unpad(ready, SPEECH[name].trimmed)
    return Part(ragged, labels, empty, silent)


def from_words(path: Path, name: str, samples: Sequence[dict[str, object]], labels: list, table: Tensor) -> Part:
    """A part whose samples are sequences of their own, one step a word.

    Args:
        samples: for each, text (l,) rows of the table, video and audio (l, D). One without words keeps one
            step of zeros.
        labels: one for each, a number or an array of numbers.
        table: (V, D) what each word stands for.
    """
    pieces: dict[str, list] = {modality: [] for modality in MODALITIES}
    for place, sample in enumerate(samples):
        _word_sample(f"{path}, sample {place}", sample, pieces)
    counts = [len(words) for words in pieces["text"]]
    lengths = torch.tensor(counts).clamp(min=1)
    text = [words if len(words) else np.array([len(table)]) for words in pieces["text"]]
    check_claim(path, "text", sum(words.nbytes for words in text))
    ids = np.concatenate(text).astype(np.int64)
    for row in np.flatnonzero((ids < 0) | (ids > len(table)))[:1]:
        raise InputError(f"{path}: words must be rows of a table of {len(table)}, found {ids[row]}")
    blank = torch.zeros(1, table.shape[1])
    features = {"text": Ragged.of_lengths(torch.from_numpy(ids.astype(np.int32)), lengths, torch.cat([table, blank]))}
    silent = 0
    for modality in ("video", "audio"):
        steps, some = as_float32(path, modality, _rows(path, modality, pieces[modality]), features["text"].where)
        features[modality] = Ragged.of_lengths(torch.from_numpy(steps), lengths)
        silent += some
    return Part(features, labels_of(path, name, _label_rows(path, labels)), counts.count(0), silent)


def _word_sample(place: str, sample: dict[str, object], pieces: dict[str, list]) -> None:
    """Check one sample and add its sequences to the pieces."""
    words = sample["text"]
    if isinstance(words, list) and all(isinstance(word, int | np.integer) and 0 <= word < 2**31 for word in words):
        words = np.array(words, dtype=np.int64)
    if not isinstance(words, np.ndarray) or words.ndim != 1 or (words.size and words.dtype.kind not in "iu"):
        raise InputError(f"{place}: text must be a row of whole numbers, found {kind_of_value(words)}")
    pieces["text"].append(words)
    for modality in ("video", "audio"):
        values = sample[modality]
        shaped = isinstance(values, np.ndarray) and (values.ndim == 2 or (values.ndim == 1 and len(words) == 0))
        if not shaped or values.dtype.kind not in "fiu":
            raise InputError(
                f"{place}: {modality} must be numbers of shape (steps, features), found {kind_of_value(values)}"
            )
        if values.shape[0] != len(words):
            raise InputError(f"{place}: {modality} has {values.shape[0]} steps, text {len(words)}")
        pieces[modality].append(values)


def kind_of_value(value: object) -> str:
    """What something from a file is, without printing it."""
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _rows(path: Path, modality: str, pieces: list[np.ndarray]) -> np.ndarray:
    """(L, D) the steps of all samples, a row of zeros for one that has none."""
    widths = {values.shape[1] for values in pieces if len(values)}
    if len(widths) != 1 or 0 in widths:
        raise InputError(f"{path}: {modality} must have the same features at every step, found {sorted(widths)}")
    check_claim(path, modality, sum(values.nbytes for values in pieces))  # one array may stand there many times
    blank = np.zeros((1, *widths), np.float32)
    return np.concatenate([values if len(values) else blank for values in pieces])


def _label_rows(path: Path, labels: list) -> np.ndarray:
    """(N,) or (N, columns) from the labels of single samples, each a number or an array."""
    rows = []
    for place, label in enumerate(labels):
        row = np.asarray(label) if isinstance(label, int | float | np.number | np.ndarray) else None
        if row is None or row.dtype.kind not in "fiu" or row.size > 100 or (rows and row.shape != rows[0].shape):
            raise InputError(
                f"{path}, sample {place}: label must be a number like the others, found {kind_of_value(label)}"
            )
        rows.append(row)
    return np.stack(rows)


def source_of(name: str, parts: Sequence[Part], origin: str) -> Source:
    """The three parts as one source."""
    for part, what in zip(parts, PARTS, strict=True):
        if len(part.labels) == 0:
            raise InputError(f"{name}: no {what} samples")
    for modality in parts[0].features:
        widths = [part.features[modality].shape[2] for part in parts]
        if len({*widths}) > 1:
            raise InputError(f"{name}: {modality} has {widths} features in {', '.join(PARTS)}")
    features = {modality: Ragged.join([part.features[modality] for part in parts]) for modality in parts[0].features}
    counted = {
        "samples without a step keep one of zeros": sum(part.empty for part in parts),
        "values of -inf in audio set to 0": sum(part.silent for part in parts),
    }
    return Source(
        name=name,
        features=features,
        lengths=next(iter(features.values())).lengths,
        labels=torch.cat([part.labels for part in parts]),
        task="classification" if SPEECH[name].classes else "regression",
        classes=SPEECH[name].classes,
        parts=torch.cat([torch.full((len(part.labels),), place) for place, part in enumerate(parts)]),
        about=f"{SPEECH[name].about}; {origin}",
        notes=(*parts[0].notes, *(f"{count} {what}" for what, count in counted.items() if count)),
    )
