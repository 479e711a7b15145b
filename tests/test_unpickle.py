"""A pickle is a program: only arrays are let in, and nothing runs."""

import os
import pickle
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmalign import InputError
from mmalign.gate.unpickle import load_object_array


class Call:
    """Something that runs `function(*arguments)` when an ordinary reader loads it."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return (self.function, self.arguments)


def write(path, content):
    array = np.empty((), object)
    array[()] = content
    np.save(path, array, allow_pickle=True)
    return path


def test_arrays_and_plain_containers_come_back(tmp_path):
    content = {"X": [np.arange(6.0).reshape(2, 3), np.zeros((1, 2), "i2")], "y": np.array([1, 2]), "names": ("a", "b")}
    content["ragged"] = np.array([np.zeros(2), np.zeros(3)], dtype=object)
    content["one"], content["words"] = np.float64(2.5), np.array(["left", "right"])
    found = load_object_array(write(tmp_path / "good.npy", content))
    assert found.keys() == content.keys() and found["names"] == ("a", "b") and found["one"] == 2.5
    np.testing.assert_array_equal(found["X"][0], content["X"][0])
    assert found["words"].tolist() == ["left", "right"] and [len(one) for one in found["ragged"]] == [2, 3]


@pytest.mark.parametrize(
    "attack",
    [
        lambda canary: Call(os.system, f"touch {canary}"),
        lambda canary: Call(subprocess.call, ["touch", str(canary)]),
        lambda canary: Call(eval, f"open({str(canary)!r}, 'w')"),
        lambda canary: Call(exec, f"open({str(canary)!r}, 'w')"),
        lambda canary: Call(open, str(canary), "w"),
        lambda canary: Call(getattr, "", "join"),
        lambda canary: Call(np.save, str(canary), 1),
        lambda canary: Call(np.fromfile, str(canary)),
        lambda canary: Call(pickle.loads, pickle.dumps(Call(os.system, f"touch {canary}"))),
        lambda canary: Call(__import__, "os"),
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_a_hostile_pickle_is_refused_by_the_name_it_asks_for_before_that_runs(tmp_path, attack, inside):
    canary = tmp_path / "canary"
    bomb = attack(canary)
    path = write(tmp_path / "bad.npy", {"X": [np.zeros(2), bomb]} if inside else bomb)
    with pytest.raises(InputError, match=r"bad\.npy cannot be read: it asks for \w+") as caught:
        load_object_array(path)
    assert not canary.exists() and "\n" not in str(caught.value)


def test_a_hidden_name_of_an_allowed_module_is_refused(tmp_path):
    """The text `numpy` in front does not open the rest of numpy."""
    head = write(tmp_path / "bad.npy", 1).read_bytes()
    start = head.index(b"\n") + 1
    for module, name in (
        ("numpy", "load"),
        ("numpy.ndarray", "tofile"),
        ("_codecs", "decode"),
        ("numpy", "ndarray.tofile"),
    ):
        (tmp_path / "bad.npy").write_bytes(head[:start] + f"c{module}\n{name}\n.".encode())
        with pytest.raises(InputError, match="it asks for"):
            load_object_array(tmp_path / "bad.npy")


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_and_nothing_else_happens(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("damaged") / "file.npy"
    content = bytearray(write(path, {"X": [np.arange(3.0)], "y": np.array([1])}).read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    try:
        load_object_array(path)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY"])
def test_a_file_that_is_no_array_is_refused(tmp_path, content):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npy cannot be read"):
        load_object_array(tmp_path / "bad.npy")
    np.save(tmp_path / "plain.npy", np.zeros(3))
    for name in ("plain.npy", "nowhere.npy"):
        with pytest.raises(InputError, match=name):
            load_object_array(tmp_path / name)
