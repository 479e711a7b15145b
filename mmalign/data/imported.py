"""Our own form of a data set: one checked HDF5 file with a manifest, read ever after.

`lengths`, `labels` and `parts` of all samples, `features/NAME` of each modality without padding, and `table/NAME`
where a text is kept as words. The manifest says what each array is, with its SHA-256, and where it came from; behind
it all stands the seal.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

from ..errors import InputError, line_of, one_of
from ..gate.hdf5 import Reader
from ..gate.seal import seal
from .assemble import PARTS
from .ragged import Ragged
from .source import Source
from .speech import SPEECH

FILE = "imported.h5"  # in the data set's folder
FORM = 1
PIECE = 2**20  # bytes that are unpacked at once


def write(source: Source, path: Path, origin: dict[str, object]) -> dict[str, object]:
    """Write a source of ragged sequences to a file, whole or not at all; returns the manifest."""
    arrays = {"lengths": source.lengths, "labels": source.labels, "parts": source.parts.to(torch.uint8)}
    for name, values in source.features.items():
        arrays[f"features/{name}"] = values.steps
        if values.table is not None:
            arrays[f"table/{name}"] = values.table
    arrays = {key: values.numpy() for key, values in arrays.items()}
    manifest = {
        "form": FORM,
        "name": source.name,
        "about": source.about,
        "task": source.task,
        "notes": source.notes,
        "source": origin,
        "samples": dict(zip(PARTS, torch.bincount(source.parts, minlength=3).tolist(), strict=True)),
        "arrays": {
            key: {"shape": values.shape, "dtype": str(values.dtype), "sha256": _digest(values)}
            for key, values in arrays.items()
        },
    }

    def fill(file: h5py.File) -> None:
        file.attrs["manifest"] = json.dumps(manifest)
        for key, values in arrays.items():
            rows = min(max(PIECE // values[0].nbytes, 1), len(values))
            pieces = (rows, *values.shape[1:])  # whole steps: what would lie across them is slow to put together
            file.create_dataset(key, data=values, chunks=pieces, compression="lzf", shuffle=True)

    _write_whole(path, fill)
    return manifest


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _write_whole(path: Path, fill: Callable[[h5py.File], None]) -> None:
    """An HDF5 file that is there whole or not at all, as `files.write_whole` does it for bytes."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with h5py.File(temporary, "x") as file:
                fill(file)
            seal(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as error:  # h5py calls a full disk a RuntimeError
        raise InputError(f"cannot write {path}: {getattr(error, 'strerror', None) or line_of(error)}") from None


def manifest_of(path: Path, reader: Reader) -> dict[str, object]:
    """The manifest of a file, checked for its form."""
    try:
        manifest = json.loads(reader.text("manifest"))
        held = {key: manifest[key] for key in ("form", "name", "about", "notes", "source", "arrays")}
        for entry in held["arrays"].values():
            entry["shape"], entry["dtype"], entry["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise InputError(f"{path} has no manifest of ours; write it with: mmalign data import") from None
    if held["form"] != FORM:
        raise InputError(f"{path} is of form {str(held['form'])[:20]}, this version reads form {FORM}; import it again")
    notes = held["notes"] if isinstance(held["notes"], list) else [None]
    if not all(isinstance(text, str) for text in (held["name"], held["about"], *notes)):
        raise InputError(f"{path}: name, about and notes of the manifest must be text")
    return held


def modalities(path: Path) -> tuple[str, ...]:
    """The modalities that a file holds."""
    with Reader() as reader:
        arrays = manifest_of(path, reader.open(path))["arrays"]
    return tuple(key.removeprefix("features/") for key in arrays if key.startswith("features/"))


def read(name: str, path: Path, wanted: tuple[str, ...]) -> Source:
    """Some modalities of a data set, each array checked against the manifest."""
    with Reader() as reader:
        return _read(name, path, reader.open(path), wanted)


def _read(name: str, path: Path, file: Reader, wanted: tuple[str, ...]) -> Source:
    manifest = manifest_of(path, file)
    arrays = manifest["arrays"]
    if manifest["name"] != name:
        raise InputError(f"{path} holds {manifest['name'][:20]}, not {name}")
    for modality in wanted:
        one_of(f"modality of {path}", modality, [key.removeprefix("features/") for key in arrays if "features" in key])
    lengths, labels, parts = (_checked(path, file, arrays, key) for key in ("lengths", "labels", "parts"))
    _check_samples(path, name, lengths, labels, parts)
    features = {modality: _sequences(path, file, arrays, modality, lengths) for modality in wanted}
    speech = SPEECH[name]
    return Source(
        name=name,
        features=features,
        lengths=torch.from_numpy(lengths),
        labels=torch.from_numpy(labels),
        task="classification" if speech.classes else "regression",
        classes=speech.classes,
        parts=torch.from_numpy(parts.astype(np.int64)),
        about=manifest["about"],
        notes=tuple(manifest["notes"]),
    )


def _checked(path: Path, file: Reader, arrays: dict, key: str) -> np.ndarray:
    """An array that is what the manifest says; where the seal has vouched for the whole file, it is."""
    if key not in arrays:
        raise InputError(f"{path} has no array {key!r}")
    values = file.array(key)
    if not file.sealed and _digest(values) != arrays[key]["sha256"]:
        raise InputError(f"{path}: {key!r} is not what was imported; import it again")
    return values


def _check_samples(path: Path, name: str, lengths: np.ndarray, labels: np.ndarray, parts: np.ndarray) -> None:
    """The three arrays that every sample has."""
    shapes = (lengths.shape, labels.shape, parts.shape)
    if len({*shapes}) > 1 or lengths.ndim != 1 or len(lengths) == 0:
        raise InputError(f"{path}: lengths, labels and parts must have shape (N,), found {shapes}")
    if lengths.dtype != np.int64 or lengths.min() < 1 or lengths.max() > 2**31:
        raise InputError(f"{path}: lengths must be whole numbers of at least 1, found from {lengths.min()}")
    if parts.dtype.kind != "u" or not {*np.unique(parts).tolist()} == {0, 1, 2}:
        raise InputError(f"{path}: parts must be 0, 1 and 2, found {np.unique(parts)[:5].tolist()}")
    classes = len(SPEECH[name].classes)
    sound = labels.dtype == (np.int64 if classes else np.float32) and np.isfinite(labels).all()
    if not sound or (classes and not (0 <= labels.min() <= labels.max() < classes)):
        expected = f"classes from 0 to {classes - 1}" if classes else "finite float32"
        raise InputError(f"{path}: labels must be {expected}, found {labels.dtype}")


def _sequences(path: Path, file: Reader, arrays: dict, modality: str, lengths: np.ndarray) -> Ragged:
    """One modality of all samples."""
    key = f"table/{modality}"
    table = _checked(path, file, arrays, key) if key in arrays else None
    steps = _checked(path, file, arrays, f"features/{modality}")
    numbers = steps if table is None else table
    if numbers.ndim != 2 or numbers.dtype != np.float32 or 0 in numbers.shape or not np.isfinite(numbers).all():
        raise InputError(f"{path}: {modality} must be finite float32 of shape (steps, features)")
    rows = steps.ndim == 1 and steps.dtype == np.int32 and len(steps) > 0
    if table is not None and not (rows and 0 <= steps.min() <= steps.max() < len(table)):
        raise InputError(f"{path}: {modality} must be rows of a table of {len(table)}")
    if len(steps) != lengths.sum():
        raise InputError(f"{path}: {modality} has {len(steps)} steps, lengths {lengths.sum()}")
    return Ragged.of_lengths(
        torch.from_numpy(steps), torch.from_numpy(lengths), None if table is None else torch.from_numpy(table)
    )
