"""What a file may claim. Sizes are looked at before memory is taken for them."""

import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError

ALWAYS = 2**28  # bytes that any file may hold
RATIO = 32  # beyond that: bytes of numbers for each byte of the file; compressed padding comes to a tenth of it
MEMBERS = 10_000  # of an archive


def allowed(path: Path) -> int:
    """The bytes that the file at `path` can sensibly unfold to."""
    return max(ALWAYS, RATIO * path.stat().st_size)


def check_claim(path: Path, what: str, claimed: int) -> None:
    """Raise `InputError` where `what` claims more bytes than the file at `path` can sensibly unfold to.

    Compressed zeros unfold to a thousand times their size, and a header may declare anything.
    """
    if claimed > allowed(path):
        raise InputError(
            f"{path}: {what} claims {_rounded(claimed)} bytes, too many for a file of {path.stat().st_size} bytes"
        )


def _rounded(count: int) -> str:
    return f"{count:.3g}" if count < 10**300 else "more than 1e300"


def array_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and the dtype of an array as `numpy.save` writes it; the file is left where its content begins."""
    version = np.lib.format.read_magic(file)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"an array of version 1.0 or 2.0 was expected, found {version}")
    shape, _, dtype = read_header[version](file)
    return shape, dtype


def check_members(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise where an archive claims more than it can hold; what it claims is all that Python unpacks of it."""
    members = archive.infolist()
    if len(members) > MEMBERS or len({member.filename for member in members}) < len(members):
        raise InputError(f"{path}: its archive holds {len(members)} members, or two of one name")
    check_claim(path, "its archive", sum(member.file_size for member in members))


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise where an .npz file, or an array in it, claims more than it can hold."""
    check_members(path, archive)
    for member in archive.infolist():
        with archive.open(member) as file:
            shape, dtype = array_header(file)
        if dtype.itemsize == 0 or dtype.kind in "OVc":
            raise InputError(f"{path}: {member.filename} must hold numbers or words, found {dtype}")
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise InputError(f"{path}: {member.filename} claims shape {shape} in {member.file_size} bytes")
