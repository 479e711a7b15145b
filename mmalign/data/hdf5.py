"""Word-aligned features as HDF5 files, one array each (public repository pliang279/MFN)."""

from pathlib import Path

import h5py
import numpy as np
import torch

from ..errors import InputError
from .source import Source, check_finite, sequences

PARTS = ("train", "valid", "test")
FILES = {"text": "text_{}_emb.h5", "video": "video_{}.h5", "audio": "audio_{}.h5"}


def _array(path: Path) -> np.ndarray:
    """The one array of a file."""
    if not path.is_file():
        raise InputError(f"{path} is not there; --data-dir must hold the folder {path.parent.name} with that file")
    try:
        with h5py.File(path, "r") as file:
            if list(file) != ["d1"] or not isinstance(file["d1"], h5py.Dataset):
                raise InputError(f"{path} must hold one array 'd1', found {', '.join(file) or 'nothing'}")
            return file["d1"][()]
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a sound HDF5 file: {str(error).splitlines()[0]}") from None


def read_ict_mmmo(folder: Path, modalities: tuple[str, ...]) -> Source:
    """Online movie reviews, one sentiment score each: 1 to 5, shifted so that 0 is neutral.

    Every sequence has 20 words. All-zero steps (a word without sound, a frame without a face) occur at
    either end and inside, so they are steps like any other and all 20 count as real.
    """
    features = {}
    for modality in modalities:
        if modality not in FILES:
            raise InputError(f"unknown modality of ict-mmmo {modality!r}; known: {', '.join(FILES)}")
        paths = [folder / FILES[modality].format(part) for part in PARTS]
        arrays = [check_finite(str(path), modality, sequences(str(path), modality, _array(path))) for path in paths]
        if len({values.shape[1:] for values in arrays}) > 1:
            raise InputError(f"{folder}: {modality} has shapes {[tuple(values.shape) for values in arrays]}")
        features[modality] = torch.cat(arrays)
    labels = [_array(folder / f"y_{part}.h5") for part in PARTS]
    for part, values in zip(PARTS, labels, strict=True):
        if values.ndim != 1 or not np.isfinite(values).all() or values.min() < 1 or values.max() > 5:
            raise InputError(f"{folder / f'y_{part}.h5'} must hold scores from 1 to 5, found shape {values.shape}")
    parts = torch.cat([torch.full((len(values),), place) for place, values in enumerate(labels)])
    for modality, values in features.items():
        if len(values) != len(parts):
            raise InputError(f"{folder}: {modality} holds {len(values)} samples, labels {len(parts)}")
    steps = next(iter(features.values())).shape[1]
    return Source(
        name="ict-mmmo",
        features=features,
        lengths=torch.full((len(parts),), steps),
        labels=torch.from_numpy(np.concatenate(labels).astype(np.float32)) - 3,
        task="regression",
        parts=parts,
        about="online movie reviews, one sentiment score each; features of the repository pliang279/MFN",
    )
