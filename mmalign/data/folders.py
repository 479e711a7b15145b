"""The folder of a data set: what lies there, what is read of it, and how our own form comes into it."""

import hashlib
from dataclasses import replace
from pathlib import Path

from ..errors import InputError, check, one_of, whole
from . import cmu, hdf5, imported, meld, padded
from .source import Source
from .speech import MODALITIES, SPEECH

PICKLED = ("mosi", "mosei", "sims")  # in one file of padded arrays
LONGEST = 50  # steps, as MulT and MultiBench keep; a few sentences of CMU-MOSEI are several times longer


def read(name: str, folder: Path, modalities: tuple[str, ...], longest: int = LONGEST, loss: str = "squared") -> Source:
    """A data set from its folder: our own form where there is one, else the published files.

    loss: of a regression, "squared" errors or "absolute" ones, by which such scores are judged.
    """
    check("longest", longest, whole(1))
    one_of("loss", loss, ("squared", "absolute") if not SPEECH[name].classes else ("squared",))
    if (folder / imported.FILE).is_file():
        source = imported.read(name, folder / imported.FILE, modalities)
    elif name in hdf5.PUBLISHED:
        source = hdf5.read(name, folder, modalities)
    else:
        raise InputError(
            f"{folder / imported.FILE} is not there; make it from files you have: mmalign data import {name} PATH"
        )
    return replace(source.cut(longest), loss=loss)


def there(name: str, folder: Path) -> tuple[str, ...]:
    """The modalities that a folder holds whole."""
    if (folder / imported.FILE).is_file():
        return imported.modalities(folder / imported.FILE)
    return hdf5.there(name, folder) if name in hdf5.PUBLISHED else ()


def to_check(name: str, folder: Path, pair: tuple[str, ...]) -> tuple[str, ...]:
    """What a check of the whole folder reads: all that is there, and of published files the usual pair at least."""
    if (folder / imported.FILE).is_file():
        return there(name, folder)
    return tuple(dict.fromkeys((*pair, *there(name, folder))))


def describe(name: str, folder: Path) -> dict[str, str]:
    """How a data set comes into its folder, and what of it is there, for people."""
    if name not in SPEECH:
        return {}
    ways = [f"mmalign data fetch {name}"] if name in hdf5.PUBLISHED else []
    return {
        "there": ", ".join(there(name, folder)) or "nothing",
        "comes by": " or ".join([*ways, f"mmalign data import {name} PATH, PATH being {_known_forms(name)}"]),
    }


def bring_in(name: str, path: Path, folder: Path) -> tuple[Path, Source]:
    """Read files of any known form once and write our own into `folder`; returns its path and what is in it.

    Raises:
        ValueError: no known form, or something in the files is wrong; nothing is written.
    """
    one_of("dataset to import", name, tuple(SPEECH))
    form, files, source = _read_foreign(name, path)
    origin = {"form": form, "files": {file.name: _digest(file) for file in files}}
    imported.write(source, folder / imported.FILE, origin)
    return folder / imported.FILE, source


def _read_foreign(name: str, path: Path) -> tuple[str, list[Path], Source]:
    """The form of some files, those that were read, and what is in them."""
    if not path.exists():
        raise InputError(f"{path} is not there")
    words = [path / file for file in cmu.WORD_FILES]
    if name == "meld":
        return "pickles of MM-Align", [*words, path / meld.EMBEDDING], meld.read(name, path)
    if name in ("mosi", "mosei") and (path / cmu.EMBEDDING).is_file():
        return "pickles of MM-Align and BBFN", [*words, path / cmu.EMBEDDING], cmu.read_words(name, path)
    if name in PICKLED and path.is_file():
        return "pickle of MulT, MultiBench or MMSA", [path], padded.read(name, path)
    if name in hdf5.PUBLISHED and path.is_dir() and any(path.glob("*.h5")):
        modalities = hdf5.there(name, path) or MODALITIES
        source = hdf5.read(name, path, modalities)
        absent = tuple(
            f"{modality} left out: its files are not all there" for modality in MODALITIES if modality not in modalities
        )
        source = replace(source, notes=(*source.notes, *absent))
        return "HDF5 of pliang279/MFN", sorted(path.glob("*.h5")), source
    raise InputError(f"{path} holds no known form of {name}, which is {_known_forms(name)}")


def _known_forms(name: str) -> str:
    """What `data import` reads, for people."""
    words = f"a folder with {', '.join(cmu.WORD_FILES)} and "
    forms = [words + meld.EMBEDDING] if name == "meld" else []
    if name in ("mosi", "mosei"):
        forms += [words + cmu.EMBEDDING]
    if name in PICKLED:
        forms += ["one pickle of MulT, MultiBench or MMSA"]
    if name in hdf5.PUBLISHED:
        forms += ["a folder with the published HDF5 files"]
    return ", or ".join(forms)


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
