"""What a file may claim. Sizes are looked at before memory is taken for them."""

import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError

ALWAYS = 2**28  # bytes that any file may hold
RATIO = 32  # beyond that: bytes of numbers for each byte of the file; compressed padding comes to a tenth of it


def check_claim(path: Path, what: str, claimed: int) -> None:
    """Raise `InputError` where `what` claims more bytes than the file at `path` can sensibly unfold to.

    Compressed zeros unfold to a thousand times their size, and a header may declare anything.
    """
    held = path.stat().st_size
    if claimed > max(ALWAYS, RATIO * held):
        raise InputError(f"{path}: {what} claims {claimed:.3g} bytes, too many for a file of {held} bytes")


def array_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype of an array as `numpy.save` writes it; the file is left where its content begins."""
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = read_header[version](file)
    return shape, dtype


def check_archive(path: Path) -> None:
    """Raise where an .npz file, or an array in it, claims more than it can hold."""
    with zipfile.ZipFile(path) as archive:
        check_claim(path, "its archive", sum(member.file_size for member in archive.infolist()))
        for member in archive.infolist():
            with archive.open(member) as file:
                shape, dtype = array_header(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise InputError(f"{path}: {member.filename} claims shape {shape} in {member.file_size} bytes")
