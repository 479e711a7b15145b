"""What may watch a training: after each epoch a callback is handed the system and the history.

Any function of these two is a callback: `fit(system, data, callbacks=[one])`. Two that write are here.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from .errors import InputError
from .system import System
from .training import History


class Writer(Protocol):
    """What is asked of a TensorBoard writer; those of torch and of tensorboardX offer it."""

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        """One number of one epoch."""


def numbers(row: Mapping[str, object]) -> dict[str, float]:
    """The numbers of an epoch under flat names: {"valid": {"mae": 1.0}} gives "valid/mae"."""
    told: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            told |= {f"{name}/{key}": float(one) for key, one in value.items()}
        else:
            told[name] = float(value)
    return told


class CSVLog:
    """Writes every epoch's numbers to a CSV file, which is whole after each of them and may be read meanwhile.

    Args:
        path: the file; it is written anew.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, system: System, history: History) -> None:
        rows = [numbers(row) for row in history.rows]
        names = list(dict.fromkeys(name for row in rows for name in row))  # warm-up epochs lack some
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


class TensorBoardLog:
    """Hands every epoch's numbers to TensorBoard.

    Args:
        place: a folder, for which torch's writer needs the package `tensorboard`; or a writer of your own.
    """

    def __init__(self, place: str | Path | Writer) -> None:
        self.writer = _writer(place) if isinstance(place, str | Path) else place

    def __call__(self, system: System, history: History) -> None:
        epoch = len(history.rows) - 1
        for name, value in numbers(history.rows[-1]).items():
            if name != "epoch":
                self.writer.add_scalar(name, value, epoch)


def _writer(folder: str | Path) -> Writer:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("TensorBoardLog needs a package: pip install tensorboard") from None
    return SummaryWriter(str(folder))
