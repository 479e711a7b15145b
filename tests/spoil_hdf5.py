"""Spoil sound HDF5 files as their format allows, see `spoil.py`."""

from contextlib import suppress

import h5py
import numpy as np
import spoil


def spoil_hdf5(draw, path, key):
    """Other types, shapes, pieces, filters, links, names; or the bytes."""
    if draw.random() < 0.4:
        path.write_bytes(spoil.spoil_bytes(draw, path.read_bytes()))
        return None
    with h5py.File(path, "a") as file:
        values = file[key][()] if isinstance(file.get(key), h5py.Dataset) else np.zeros((9, 20, 2))
        if draw.random() < 0.9:
            del file[key]
        options = {"compression": "gzip", "chunks": True}
        more = {
            "array": lambda: file.create_dataset(key, data=_storable(spoil.odd_array(draw, values)), **options),
            "bomb": lambda: (
                file.create_dataset(
                    key,
                    values.shape,
                    "f8",
                    maxshape=[None] * values.ndim,
                    **options,
                )
                if values.ndim
                else None
            ),
            "large piece": lambda: _piece(file, key, draw.choice([10**4, 10**7, 4 * 10**8])),
            "declared": lambda: file.create_dataset(
                key,
                draw.choice([(10**12,), (10**6, 10**6, 3), (2**60, 2), (0,), ()]),
                "f8",
                **({"chunks": True} if draw.random() < 0.5 else {}),
            ),
            "external link": lambda: file.__setitem__(
                key, h5py.ExternalLink(draw.choice(["/dev/zero", "y_test.h5", path.name]), "d1")
            ),
            "soft link": lambda: file.__setitem__(key, h5py.SoftLink(draw.choice(["/", f"/{key}", "/nothing"]))),
            "external": lambda: file.create_dataset(
                key, (9, 20, 2), "f8", external=[(draw.choice(["/dev/zero", "none"]), 0, 2880)]
            ),
            "group": lambda: file.create_group(key),
            "name": lambda: file.create_dataset(draw.choice(spoil.WORDS[1:3]) or "e", data=values),
            "type": lambda: file.create_dataset(key, data=np.zeros(3, [("a", "f8"), ("b", "i4")])),
            "words": lambda: file.create_dataset(key, data=["a", "\x1b[1m"], dtype=h5py.string_dtype()),
            "empty": lambda: file.create_dataset(key, data=h5py.Empty("f8")),
        }
        with suppress(TypeError, ValueError, OSError, RuntimeError, OverflowError):  # HDF5 itself will not have it
            draw.choice(list(more.values()))()
    return None


def _storable(values):
    return values.astype("S8") if values.dtype.kind in "OU" else values


def _piece(file, key, size):
    """A small data set in one large compressed piece."""
    made = file.create_dataset(
        key, (9, 20, 2), "f8", maxshape=(None, 20, 2), chunks=(max(9, size // 320), 20, 2), compression="gzip"
    )
    if size < 10**8:
        made[...] = 0
