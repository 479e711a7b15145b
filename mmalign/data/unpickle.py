"""Read a pickle without letting it run anything.

A pickle is a program: it names functions and calls them. This reader knows the few that rebuild numpy
arrays and refuses every other name before it is looked up.
"""

import pickle
from pathlib import Path

import numpy as np

from ..errors import InputError

try:  # numpy 2 keeps them here
    from numpy._core.multiarray import _reconstruct, scalar
except ImportError:  # numpy 1
    from numpy.core.multiarray import _reconstruct, scalar


def _bytes(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does for the bytes of an array in an old pickle, and nothing more."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes as {encoding!r}, which no array needs")
    return text.encode("latin1")


_ALLOWED = {
    ("_codecs", "encode"): _bytes,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): scalar for core in ("core", "_core")},
}


class _SafeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs") from None


def load_object_array(path: Path) -> object:
    """The object that `numpy.save` pickled into a .npy file.

    Raises:
        ValueError: not such a file, or it asks for anything but numpy arrays and plain containers.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](file)
            if shape != () or dtype != np.dtype(object):
                raise InputError(f"{path} must hold one pickled object, found shape {shape} of {dtype}")
            return _SafeUnpickler(file).load().item()
    except InputError:
        raise
    except Exception as error:  # a broken pickle can raise anything
        raise InputError(f"{path} cannot be read: {error}") from None
