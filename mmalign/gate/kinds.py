"""What a file is, by its content: names lie, and download links give web pages."""

import pickle
import re
import zipfile
from pathlib import Path

from ..errors import InputError
from ..files import opened

PICKLE, TORCH, NPZ, HDF5 = "a pickle", "a file of torch", "an archive of NumPy arrays", "HDF5"
SIGNS = (  # how a file begins -> what it is, and what to do about it
    (rb"version https://git-lfs", "a Git LFS pointer in place of the file; run: git lfs pull"),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml)", "a web page; a download link gave that in place of the file"),
    (rb"\x1f\x8b", "packed by gzip; unpack it first"),
    (rb"BZh\d", "packed by bzip2; unpack it first"),
    (rb"\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a packed archive; unpack it first"),
    (rb".{257}ustar", "a tar archive; unpack it first"),
    (rb"\x93NUMPY", "a single array of numpy.save"),
    (rb"%PDF", "a PDF"),
    (rb"\x89HDF\r\n\x1a\n", HDF5),
    (rb".{8}\{\"", "safetensors"),
    (rb"\x80[\x02-\x05]|\(lp|\(dp|c\w+\n|[\](}]", PICKLE),
)  # fmt: skip
_OLD_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # the number that torch before 1.6 began its files with


def kind_of(path: Path) -> str:
    """What a file is, in words; "unknown" where nothing says."""
    with opened(path) as file:
        head = file.read(512)
    if not head:
        return "empty"
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    if head.startswith(_OLD_TORCH):
        return TORCH
    for pattern, kind in SIGNS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return kind
    return "unknown"


def _archive(path: Path) -> str:
    """Which of the things that are zip archives inside."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except Exception:  # a broken archive can raise anything
        return "an archive (zip) that was cut off or damaged; fetch it again"
    if any(name.endswith("data.pkl") for name in names):
        return TORCH
    return NPZ if names and all(name.endswith(".npy") for name in names) else "a zip archive; unpack it first"


def expect(path: Path, *wanted: str) -> str:
    """The kind of a file, or an `InputError` that says what it is in place of those wanted."""
    kind = kind_of(path)
    if kind not in (*wanted, "unknown"):  # what is not recognised is left to its reader
        raise InputError(f"{path} is {kind}; {' or '.join(wanted)} was expected")
    if kind == PICKLE and _last(path) != b".":
        raise InputError(f"{path} is a pickle that was cut off: it does not end as one ends; fetch it again")
    return kind


def _last(path: Path) -> bytes:
    with opened(path) as file:
        file.seek(-1, 2)
        return file.read(1)
