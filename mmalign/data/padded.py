"""One pickle of padded arrays for each part, as the field hands them round: MulT, MultiBench, MMSA, CH-SIMS.

    {"train" | "valid" | "test": {"text" (N, T, D), "vision" (N, T, D), "audio" (N, T, D), "labels" (N, ...), ...}}

MulT and MultiBench call the answers `labels`, MMSA and CH-SIMS `regression_labels`; the validation part is `valid`,
`dev` or `val`. Aligned files have one number of steps, and what is zero in every modality at either end is padding.
Files that are not aligned (`noalign`, `unaligned`) have more steps of sound and sight than words. Our systems go step
by step through all modalities, so sound and sight are brought to the words: the time of a sentence is cut into as
many equal slices as it has words, and each slice gives the mean of its frames. A note says so.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor

from ..errors import InputError, shown
from ..gate.limits import check_claim
from ..gate.unpickle import load_pickle
from .assemble import PARTS, Part, as_float32, check_shape, from_padded, kind_of_value, labels_of, source_of, to_ragged
from .source import Source

NAMES = {"text": ("text",), "video": ("vision", "video", "visual"), "audio": ("audio", "acoustic")}  # ours -> theirs
LABELS = ("labels", "regression_labels")
CALLED = {"train": ("train",), "valid": ("valid", "dev", "val"), "test": ("test",)}
BROUGHT = "video and audio brought to the steps of the text: means over as many equal slices of time"


def read(name: str, path: Path) -> Source:
    """The file of a data set.

    Raises:
        ValueError: it holds no such parts and arrays; the message says what it does hold.
    """
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a dictionary of {', '.join(PARTS)}, found {kind_of_value(content)}")
    found = {part: _called(f"{path} holds", content, names) for part, names in CALLED.items()}
    parts = [_part(name, path, key, content.pop(key)) for key in found.values()]  # what is read is given back
    return source_of(name, parts, "as the code of MulT, MultiBench and MMSA reads it")


def _called(where: str, held: dict, names: Iterable[str]) -> str:
    """The name among `names` under which something is held, or an error that says what is."""
    for key in names:
        if key in held:
            return key
    keys = ", ".join(shown(key)[:40] for key in [*held][:20]) or "nothing"
    raise InputError(f"{where} {keys}; {' or '.join(names)} was expected")


def _part(name: str, path: Path, part: str, held: object) -> Part:
    if not isinstance(held, dict):
        raise InputError(f"{path} must hold a dictionary of arrays under {part!r}, found {kind_of_value(held)}")
    where = f"{path} holds under {part!r}"
    features = {ours: _array(path, held, _called(where, held, theirs), 3) for ours, theirs in NAMES.items()}
    labels = labels_of(path, name, _array(path, held, _called(where, held, LABELS), 1))
    for modality, values in features.items():
        check_shape(path, modality, values, len(labels))
    if len({values.shape[1] for values in features.values()}) == 1:
        return from_padded(name, {modality: (path, values) for modality, values in features.items()}, labels)
    spans = {modality: _span(path, modality, held, values) for modality, values in features.items()}
    return _unaligned(path, features, spans, labels)


def _array(path: Path, held: dict, key: str, axes: int) -> np.ndarray:
    """What stands under a key, as one array; a list of numbers, or of arrays of one shape, is as good."""
    values = held[key]
    if isinstance(values, list) and values:
        shapes = {np.shape(one) if isinstance(one, np.ndarray | np.generic | int | float) else None for one in values}
        if len(shapes) != 1 or None in shapes:
            raise InputError(f"{path}: {key} must be one array, found a list of {kind_of_value(values[0])} and others")
        check_claim(path, f"the list {key}", sum(getattr(one, "nbytes", 8) for one in values))
        values = np.stack([np.asarray(one) for one in values])
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: {key} must be an array of {axes} or more axes, found {kind_of_value(values)}")
    return values


# ---- where sequences begin and end ---------------------------------------------------------------------------


def _span(path: Path, modality: str, held: dict, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the first step of each sequence and (N,) the step behind its last.

    Text may come with the mask of its tokens (`text_bert`), sound and sight with lengths (`audio_lengths`), which do
    not say at which end the padding is: the end that is zero. Else padding is what is zero at either end.
    """
    count, steps, _ = values.shape
    tokens = held.get("text_bert")
    if modality == "text" and isinstance(tokens, np.ndarray) and tokens.shape == (count, 3, steps):
        return _filled(tokens[:, 1] > 0)
    first, end = _filled(values.any(axis=2))
    key = next((f"{one}_lengths" for one in NAMES[modality] if f"{one}_lengths" in held), None)
    if key is None:
        return first, end
    given = _array(path, held, key, 1).reshape(-1)
    if given.shape != (count,) or given.dtype.kind not in "iu" or not ((given >= 0) & (given <= steps)).all():
        raise InputError(f"{path}: {key} must be {count} whole numbers from 0 to {steps}, found {kind_of_value(given)}")
    given = given.astype(np.int64).clip(1)
    behind, in_front = end <= given, first >= steps - given
    return (
        np.where(behind, 0, np.where(in_front, steps - given, first)),
        np.where(behind, given, np.where(in_front, steps, end)),
    )


def _filled(filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last of what is True in (N, T); of nothing, one step."""
    some = filled.any(1)
    first, end = filled.argmax(1), filled.shape[1] - filled[:, ::-1].argmax(1)
    return np.where(some, first, 0), np.where(some, end, 1)


# ---- from many steps to few ----------------------------------------------------------------------------------


def _unaligned(path: Path, features: dict[str, np.ndarray], spans: dict, labels: Tensor) -> Part:
    """A part whose sound and sight have other steps than its text."""
    wanted = np.subtract(*spans["text"][::-1])  # (N,) words
    ready, silent = {}, 0
    for modality, values in features.items():
        pieces = []
        for place, (first, end, steps) in enumerate(zip(*spans[modality], wanted, strict=True)):
            where = lambda row, place=place, first=first: (place, int(first) + row)  # noqa: E731
            piece, empty = as_float32(path, modality, values[place, first:end], where)
            pieces.append(sliced(piece, int(steps)))
            silent += empty
        ready[modality] = to_ragged(np.concatenate(pieces), wanted)
    wordless = int((~features["text"].any(axis=(1, 2))).sum())
    return Part(ready, labels, wordless, silent, (BROUGHT,))


def sliced(values: np.ndarray, steps: int) -> np.ndarray:
    """(l, D) -> (steps, D): means over `steps` equal slices of time; where there are fewer frames, the nearest one.

    >>> sliced(np.arange(6.0)[:, None], 3).ravel().tolist(), sliced(np.arange(2.0)[:, None], 4).ravel().tolist()
    ([0.5, 2.5, 4.5], [0.0, 0.0, 1.0, 1.0])
    """
    starts = np.arange(steps) * len(values) // steps
    if len(values) <= steps:
        return values[starts]
    counts = np.diff(starts, append=len(values))[:, None]
    return np.add.reduceat(values, starts, axis=0, dtype=np.float64).astype(np.float32) / counts.astype(np.float32)
