"""Shoulder exercises seen by a watch: acceleration and rotation, 10 people, 7 exercises.

Burns et al. 2018, "Shoulder physiotherapy exercise recognition", arXiv 1802.01489; the recordings ship
inside the package `seglearn`. A gyroscope costs far more power than an accelerometer and is the first
sensor to be switched off, so this is a real missing-modality problem.
"""

from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import torch

from ..errors import InputError, Rule, check
from ..gate.unpickle import load_object_array
from .source import Source

RATE = 50  # samples a second
SEGMENT, HOP, STEP = 4 * RATE, 2 * RATE, RATE // 5  # 4 s, 2 s and 0.2 s, in samples


def read(magnitudes: bool = False, folds: int = 5) -> Source:
    """Segments of 4 s, one every 2 s, in 20 steps of 0.2 s; each step holds mean and spread of 3 axes.

    With `magnitudes` there is a third modality: the lengths of the two vectors, which no turn of the watch changes.
    With 10 `folds` each of ten seeds tests one person, validates on another and trains on eight; the next ten draw
    other neighbours, and others whose labels are shown.
    """
    check("folds", folds, Rule("a whole number from 3 to 10", lambda value: value in range(3, 11)))
    try:
        path = distribution("seglearn").locate_file("seglearn/data/watch_dataset.npy")
    except PackageNotFoundError:
        raise InputError("smartwatch needs the package seglearn; install it with pip") from None
    raw = load_object_array(path)
    segments, owner = [], []
    for place, recording in enumerate(raw["X"]):  # (samples, 6): acceleration, then rotation
        for start in range(0, len(recording) - SEGMENT + 1, HOP):
            segments.append(recording[start : start + SEGMENT])
            owner.append(place)
    pieces = np.stack(segments).reshape(len(segments), -1, STEP, 6)  # (N, T, samples a step, 6)
    sensors = {"acc": pieces[..., :3], "gyro": pieces[..., 3:]}
    if magnitudes:
        sensors["magnitude"] = np.stack([np.linalg.norm(axes, axis=3) for axes in sensors.values()], axis=3)
    features = {
        name: torch.from_numpy(np.concatenate([axes.mean(2), axes.std(2)], axis=2).astype(np.float32))  # (N, T, 2 axes)
        for name, axes in sensors.items()
    }
    return Source(
        name="smartwatch",
        features=features,
        lengths=torch.full((len(segments),), pieces.shape[1]),
        labels=torch.from_numpy(raw["y"][owner].astype(np.int64)),
        task="classification",
        classes=tuple(raw["y_labels"]),
        groups=torch.from_numpy(raw["subject"][owner].astype(np.int64)),
        folds=folds,
        about="7 shoulder exercises, 10 subjects, 50 Hz watch; Burns et al. 2018, from the package seglearn",
    )
