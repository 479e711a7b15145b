"""The seal: any byte of a file of ours that has changed is noticed before the library of HDF5 sees it."""

import os
import random
import time

import h5py
import numpy as np
import pytest

from mmalign import InputError
from mmalign.gate import hdf5, seal


def write(path):
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(20.0).reshape(4, 5)
        file["scalar"] = 3
        file.attrs["manifest"] = "ours"
        file["elsewhere"] = h5py.ExternalLink("other.h5", "numbers")
    seal.seal(path)
    return path


def read(path):
    with hdf5.Reader() as reader:
        reader.open(path)
        return reader.names(), reader.text("manifest"), reader.text("none"), reader.array("numbers")


@pytest.fixture
def started(monkeypatch):
    """The processes that were started to read HDF5."""
    found, start = [], hdf5.start
    monkeypatch.setattr(hdf5, "start", lambda: found.append(start()) or found[-1])
    return found


def test_a_sealed_file_is_read_at_once_and_like_any_other(tmp_path, started):
    path = write(tmp_path / "ours.h5")
    ours = read(path)
    assert not started and ours[:3] == (["elsewhere", "numbers", "scalar"], "ours", None)
    path.write_bytes(path.read_bytes()[: -seal.SIZE])
    theirs = read(path)
    assert len(started) == 1 and theirs[:3] == ours[:3]
    assert np.array_equal(ours[3], theirs[3]) and ours[3].dtype == theirs[3].dtype and ours[3].flags.writeable


def test_any_byte_that_has_changed_breaks_the_seal(tmp_path):
    path = write(tmp_path / "ours.h5")
    sound, draw = path.read_bytes(), random.Random(0)
    for place in [0, 857, len(sound) - 1, *draw.choices(range(len(sound)), k=40)]:
        path.write_bytes(sound[:place] + bytes([sound[place] ^ (1 << draw.randrange(8))]) + sound[place + 1 :])
        assert not seal.is_whole(path), place
    for other in (b"", sound[:-1], sound + b"\n", sound[: -seal.SIZE], seal.MARK, sound[1:]):
        path.write_bytes(other)
        assert not seal.is_whole(path)
    path.write_bytes(sound)
    assert seal.is_whole(path)


def test_a_file_that_is_mostly_holes_is_not_hashed_for_minutes(tmp_path):
    path = write(tmp_path / "ours.h5")
    os.truncate(path, 2**40)
    with path.open("ab") as file:
        file.write(seal.MARK + bytes(32))
    began = time.process_time()
    assert not seal.is_whole(path) and time.process_time() - began < 1


def test_a_seal_opens_no_way_out_of_the_file_and_allows_no_bomb(tmp_path):
    path = write(tmp_path / "ours.h5")
    write(tmp_path / "other.h5")
    with hdf5.Reader() as reader, pytest.raises(InputError, match="must hold an array 'elsewhere'"):
        reader.open(path).array("elsewhere")
    with h5py.File(path, "w") as file:
        file.create_dataset("numbers", (10**6, 10**4), "f8", chunks=(1000, 1000))
    seal.seal(path)
    with hdf5.Reader() as reader, pytest.raises(InputError, match="claims 8e"):
        reader.open(path).array("numbers")


def test_what_is_sealed_and_no_sound_hdf5_is_one_line(tmp_path):
    path = tmp_path / "ours.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    seal.seal(path)
    with hdf5.Reader() as reader, pytest.raises(InputError, match="is not a sound HDF5 file") as caught:
        reader.open(path)
    assert "\n" not in str(caught.value)
