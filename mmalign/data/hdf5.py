"""The word-aligned features of the public repository pliang279/MFN, from HDF5.

Each of its data sets has one file for a modality and a part, one array in it; but CMU-MOSI has its modalities
side by side in one. All are padded to 20 steps: in front (CMU-MOSI, POM), behind (YouTube), or at either end
(ICT-MMMO: a short review in front, and often one silent step behind).
"""

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..gate.hdf5 import Reader
from .assemble import PARTS, Part, check_shape, from_padded, labels_of, source_of
from .source import Source
from .speech import MODALITIES

FILES = {"text": "text_{}_emb.h5", "video": "video_{}.h5", "audio": "audio_{}.h5"}
COLUMNS = {"text": slice(300), "audio": slice(300, 305), "video": slice(305, 325)}  # of CMU-MOSI
LARGEST_WORD = 10.0  # no component of a published GloVe vector reaches this
PUBLISHED = ("ict-mmmo", "pom", "youtube", "mosi")


def _only_array(reader: Reader, path: Path, key: str) -> np.ndarray:
    """The one array of a published file."""
    if not path.is_file():
        raise InputError(f"{path} is not there; --data-dir must hold the folder {path.parent.name} with that file")
    names = reader.open(path).names()
    if names != [key]:
        raise InputError(f"{path} must hold one array {key!r}, found {', '.join(names)[:80] or 'nothing'}")
    return reader.array(key)


def there(name: str, folder: Path) -> tuple[str, ...]:
    """The modalities of a published data set whose files are all in the folder."""
    files = dict.fromkeys(MODALITIES, "X_{}.h5") if name == "mosi" else FILES
    return tuple(key for key, file in files.items() if all((folder / file.format(part)).is_file() for part in PARTS))


def read(name: str, folder: Path, modalities: tuple[str, ...]) -> Source:
    """A published data set, from the files of these modalities alone."""
    with Reader() as reader:
        parts = [
            _mosi_part(reader, folder, part, modalities)
            if name == "mosi"
            else _part(reader, name, folder, part, modalities)
            for part in PARTS
        ]
    return source_of(name, parts, "features of the repository pliang279/MFN")


def _part(reader: Reader, name: str, folder: Path, part: str, modalities: tuple[str, ...]) -> Part:
    features = {}
    for modality in modalities:
        path = folder / FILES[modality].format(part)
        features[modality] = path, _only_array(reader, path, "d1")
    path = folder / f"y_{part}.h5"
    return from_padded(name, features, labels_of(path, name, _only_array(reader, path, "d1")))


def _mosi_part(reader: Reader, folder: Path, part: str, modalities: tuple[str, ...]) -> Part:
    path = folder / f"X_{part}.h5"
    every = _only_array(reader, path, "data")  # (N, T, 325)
    check_shape(path, "data", every, len(every))
    if every.shape[2] != 325 or np.abs(every[:, :, COLUMNS["text"]]).max() > LARGEST_WORD:
        raise InputError(
            f"{path} must hold word vectors in columns 0-299, audio in 300-304, video in 305-324; found "
            f"{every.shape[2]} columns, the first 300 up to {np.abs(every[:, :, :300]).max():.4g}"
        )
    scores = folder / f"y_{part}.h5"
    features = {name: (path, every[:, :, COLUMNS[name]]) for name in modalities}
    return from_padded("mosi", features, labels_of(scores, "mosi", _only_array(reader, scores, "data")))
