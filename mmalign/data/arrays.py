"""The user's own arrays, from memory or from an .npz file."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .. import masks
from ..errors import InputError, line_of
from ..files import opened
from ..gate.kinds import NPZ, expect
from ..gate.limits import check_archive
from .pairs import Pairs
from .source import Source, as_array, as_float32, categories, exact_sequences, partial_labels

KEYS = ("visible", "victim", "labels", "lengths", "missing", "groups", "unlabelled")


def from_memory(visible, victim, labels, lengths=None, missing=None, groups=None, unlabelled=None, task=None) -> Source:
    """Checked arrays as a source; see `mmalign.from_arrays`."""
    name = "arrays"
    if isinstance(visible, Pairs):
        return _from_pairs(visible, victim, labels, lengths, missing, groups, unlabelled, task)
    if _is_ragged(visible) or _is_ragged(victim):
        pairs = Pairs(visible, victim, lengths)
        return _from_pairs(pairs, None, labels, None, missing, groups, unlabelled, task)
    first, second = exact_sequences(name, "visible", visible), exact_sequences(name, "victim", victim)
    if first.shape[:2] != second.shape[:2]:
        raise InputError(
            "arrays: visible and victim must agree in samples and steps, "
            f"found {tuple(first.shape)} and {tuple(second.shape)}"
        )
    _warn_of_channels_first(first, second)
    count, steps, _ = first.shape
    if unlabelled is not None:
        unlabelled = _marks("unlabelled", unlabelled, count)
    targets, classes, task = partial_labels(name, labels, unlabelled, count, task)
    lengths = np.full(count, steps) if lengths is None else as_array(name, "lengths", lengths)
    if lengths.shape != (count,) or lengths.dtype.kind not in "iu":
        raise InputError(f"arrays: lengths must be {count} whole numbers, found {lengths.dtype} {lengths.shape}")
    lengths = torch.from_numpy(lengths.astype(np.int64))
    padding = ~masks.real_steps(lengths, steps)[:, :, None]
    absent = (second.isnan() | padding).flatten(1).all(1)  # a victim that is NaN throughout is missing
    if missing is not None:
        missing = _marks("missing", missing, count)
        wrong = (absent & ~torch.from_numpy(missing)).nonzero()[:1, 0].tolist()
        for place in wrong:
            raise InputError(f"arrays: the victim of sample {place} is NaN throughout but not marked missing")
        absent = torch.from_numpy(missing)
    real, unread = ~padding[:, :, 0], padding | absent[:, None, None]
    first = as_float32(name, "visible", first.masked_fill(padding, 0), real)
    second = as_float32(name, "victim", second.masked_fill(unread, 0), ~unread[:, :, 0])
    if groups is not None:
        found = as_array(name, "groups", groups).shape
        if found != (count,):
            raise InputError(f"arrays: groups must have shape ({count},), found {found}")
        groups = torch.from_numpy(categories(name, "groups", groups)[1].astype(np.int64))
    return Source(
        name=name,
        features={"visible": first, "victim": second},
        lengths=lengths,
        labels=targets,
        task=task,
        classes=classes,
        groups=groups,
        has_victim=~absent,
        about="your own arrays",
    )


def _is_ragged(values: object) -> bool:
    """Whether these are sequences of several lengths, or some that are not there."""
    if not isinstance(values, list | tuple) and not (isinstance(values, np.ndarray) and values.dtype == object):
        return False
    return any(one is None or np.ndim(one) == 0 for one in values) or len({np.shape(one) for one in values}) > 1


def _from_pairs(pairs, victim, labels, lengths, missing, groups, unlabelled, task) -> Source:
    """Pairs know who lacks what; labels may be marked as unknown beside them."""
    for name, value in {"victim": victim, "lengths": lengths, "missing": missing}.items():
        if value is not None:
            raise InputError(f"arrays: pairs hold their own {name}, which must be None beside them")
    if unlabelled is not None:
        labels = as_array("arrays", "labels", labels, object).copy()
        labels[_marks("unlabelled", unlabelled, len(pairs))] = None
    return pairs.source(labels, groups, task)


def _warn_of_channels_first(first: Tensor, second: Tensor) -> None:
    """Other libraries lay arrays out as (N, D, T), and two sensors of as many axes then agree in every size."""
    _, steps, width = first.shape
    if first.shape == second.shape and steps < 10 and width >= 4 * steps:
        found = f"{tuple(first.shape)} is read as {steps} steps of {width} features"
        warnings.warn(f"{found}; if it is (N, features, time), swap the axes: array.transpose(0, 2, 1)", stacklevel=5)


def _marks(key: str, values: object, count: int) -> np.ndarray:
    """(N,) bool as the user gave it."""
    values = as_array("arrays", key, values)
    if values.shape != (count,) or values.dtype != bool:
        raise InputError(f"arrays: {key} must be {count} booleans, found {values.dtype} {values.shape}")
    return values.copy()


def read(path: Path, task: str | None = None) -> Source:
    """The arrays of an .npz file with the keys visible, victim, labels and, if you like, others of KEYS."""
    if not path.is_file():
        raise InputError(f"{path} is not there; --data-dir must hold that file, written by numpy.savez")
    expect(path, NPZ)
    try:
        with opened(path) as file, np.load(file, allow_pickle=False) as archive:
            check_archive(path, archive.zip)
            content = {key: archive[key] for key in archive.files}
    except InputError:
        raise
    except Exception as error:  # a broken archive can raise anything
        raise InputError(f"{path} is not a sound .npz file of plain arrays: {line_of(error)}") from None
    for key in ("visible", "victim", "labels"):
        if key not in content:
            raise InputError(f"{path} has no array {key!r}; found {', '.join(content) or 'nothing'}")
    for key in content:
        if key not in KEYS:
            raise InputError(f"{path} has an unknown array {key!r}; known: {', '.join(KEYS)}")
    return from_memory(**content, task=task)
