"""What a run leaves beside its record: its answers to the test samples, and its training curve.

One small file a run, written before the record: where the record is, the trace is. `pack` makes one file of many.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ..errors import InputError

CURVE = ("loss", "valid_loss", "valid_score")  # all losses of the training; accuracy, or mean absolute error
ENDING = ".npz"


class Trace(NamedTuple):
    """The answers of one run, sample by sample, and its curve, epoch by epoch."""

    ids: np.ndarray  # (n,) int32 places of the test samples in their source
    groups: np.ndarray  # (n,) int32 whom each belongs to: a person, a word family; the sample itself without groups
    truth: np.ndarray  # (n,) labels: float32, or int16 numbers of classes
    answers: np.ndarray  # (n,) the system's, likewise; scores keep 13 bits of their fraction
    curve: np.ndarray  # (E, 3) float32, the columns of CURVE; NaN where an epoch did not measure it

    def errors(self) -> np.ndarray:
        """(n,) what the mean metrics are means of: 1 for a wrong class, or the absolute error."""
        if self.answers.dtype.kind == "f":
            return np.abs(self.answers.astype(np.float64) - self.truth)
        return (self.answers != self.truth).astype(np.float64)

    def to_bytes(self) -> bytes:
        """The same bits for the same trace."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self._asdict())
        return buffer.getvalue()


def trace_of(
    ids: Tensor, groups: Tensor | None, labels: Tensor, answers: Tensor, rows: Iterable[Mapping[str, object]]
) -> Trace:
    """From what a run has at hand.

    Args:
        ids: (n,) places of the test samples in their source.
        groups: (N,) of the source.
        labels: (n,) theirs.
        answers: (n,) scores or (n, K) logits.
        rows: of the training's `History`.
    """
    places = ids.numpy().astype(np.int32)
    whose = places if groups is None else groups[ids].numpy().astype(np.int32)
    if answers.dim() == 2:
        kept, truth = answers.argmax(1).numpy().astype(np.int16), labels.numpy().astype(np.int16)
    else:
        kept, truth = _rounded(answers.numpy()), labels.numpy().astype(np.float32)
    return Trace(places, whose, truth, kept, _rounded(np.array([_point(row) for row in rows], np.float32)))


def _point(row: Mapping[str, object]) -> tuple[float, float, float]:
    """An epoch of a curve. Seconds have no place here: no two runs have the same."""
    losses = [value for name, value in row.items() if "/" in name]
    measured = row.get("valid", {})
    score = measured.get("accuracy", measured.get("mae", np.nan))
    return sum(losses) if losses else np.nan, row.get("valid_loss", np.nan), score


def _rounded(values: np.ndarray) -> np.ndarray:
    """float32 to one part in 8000, its last bits 0: half the size once it is packed, and no smaller range."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    finite = np.isfinite(values) & (np.abs(values) < np.float32(3e38))  # no carry into infinity
    return np.where(finite, (bits + np.uint32(1 << 10)) & np.uint32(0xFFFFF800), bits).view(np.float32)


# ---- many of them -------------------------------------------------------------------------------------------

SAMPLES = ("ids", "groups", "truth")  # the same for every run on the same test samples


def pack(traces: Mapping[str, Trace]) -> bytes:
    """Many traces in one file: the test samples that runs share are kept once, everything else end to end."""
    shared: dict[tuple[bytes, ...], int] = {}
    which, parts = [], {name: [] for name in (*SAMPLES, "classes", "scores", "curve")}
    for trace in traces.values():
        key = tuple(getattr(trace, name).tobytes() for name in SAMPLES)
        if key not in shared:
            shared[key] = len(shared)
            for name in SAMPLES:
                parts[name].append(getattr(trace, name).astype(np.float32 if name == "truth" else np.int32))
        which.append(shared[key])
        parts["scores" if trace.answers.dtype.kind == "f" else "classes"].append(trace.answers)
        parts["curve"].append(trace.curve)
    regression = [trace.answers.dtype.kind == "f" for trace in traces.values()]
    sizes = [len(one) for one in parts["ids"]]
    whole = {name: np.concatenate(values) if values else np.empty(0, np.int16) for name, values in parts.items()}
    about = {"names": [*traces], "which": which, "sizes": sizes, "regression": regression}
    about["epochs"] = [len(trace.curve) for trace in traces.values()]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **whole)
    return buffer.getvalue()


def read(place: str | Path, names: Iterable[str]) -> dict[str, Trace]:
    """The traces of some runs, by the name of their record, from where their records are read: a folder or a file.

    Runs without a trace are left out.

    Raises:
        ValueError: a file there is not what `Trace.to_bytes` or `pack` made.
    """
    place, wanted = Path(place), sorted({*names})
    path = place.with_suffix(ENDING)
    try:
        if not place.is_dir():
            return {name: one for name, one in _unpack(path) if name in {*wanted}} if path.exists() else {}
        found = {}
        for name in wanted:
            path = (place / name).with_suffix(ENDING)
            if path.exists():
                found[name] = _one(path)
        return found
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} does not hold the traces of runs: {error}") from None


@contextmanager
def _arrays(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    with open(path, "rb") as file:
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, Mapping):
            raise ValueError("it is one array")
        yield found


def _one(path: Path) -> Trace:
    with _arrays(path) as file:
        return Trace(*(file[name] for name in Trace._fields))


def _unpack(path: Path) -> Iterator[tuple[str, Trace]]:
    with _arrays(path) as file:
        about = json.loads(file["about"].tobytes())
        ends = np.cumsum(about["sizes"])[:-1]
        samples = list(zip(*(np.split(file[name], ends) for name in SAMPLES), strict=True))
        left = {name: file[name] for name in ("classes", "scores", "curve")}
    for name, place, scored, epochs in zip(
        *(about[key] for key in ("names", "which", "regression", "epochs")), strict=True
    ):
        ids, groups, truth = samples[place]
        kind = "scores" if scored else "classes"
        answers, left[kind] = np.split(left[kind], [len(ids)])
        curve, left["curve"] = np.split(left["curve"], [epochs])
        yield name, Trace(ids, groups, truth if scored else truth.astype(np.int16), answers, curve)
