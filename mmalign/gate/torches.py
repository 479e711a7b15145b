"""Read what `torch.save` wrote, tensors as NumPy arrays, without torch and without running anything.

Two forms. Since torch 1.6 an archive: one pickle, and the numbers of each storage in a member of its own. Before,
pickles in a row (a number that marks the form, a version, a machine, the object, the names of the storages), and
then the numbers of each. In both a tensor names its storage and says how its numbers lie in it.
"""

import io
import math
import mmap
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..errors import InputError
from ..files import opened
from .kinds import PICKLE, TORCH, expect
from .limits import allowed, check_members
from .unpickle import ALLOWED, MAPPINGS, SafeUnpickler, load_pickle, quickly, readable

NUMBERS = {"Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1",
           "Byte": "u1", "Bool": "?"}  # fmt: skip


def load_torch(path: Path) -> object:
    """What `torch.save` (or, for the same content, `pickle.dump`) wrote: arrays, strings and plain containers.

    Raises:
        ValueError: not such a file, or it asks for anything else.
    """
    kind = expect(path, TORCH, PICKLE)
    if kind == PICKLE:
        return load_pickle(path)
    with opened(path) as file:
        packed = file.read(2) == b"PK"
    return readable(path, partial(_from_archive if packed else _from_row, path))


class _Unpickler(SafeUnpickler):
    """Knows the storages of a file, and what torch calls to make tensors of them."""

    dispatch: ClassVar = {**SafeUnpickler.dispatch, b"Q"[0]: SafeUnpickler.load_binpersid}

    def __init__(self, file: object, budget: int, storage: Callable[[str, np.dtype, int], np.ndarray]) -> None:
        super().__init__(file, budget)
        self.storage = storage
        self.allowed = {
            **ALLOWED,
            **MAPPINGS,
            **{("torch", f"{kind}Storage"): np.dtype(code) for kind, code in NUMBERS.items()},
            ("torch._utils", "_rebuild_tensor_v2"): self.tensor,
            ("torch._utils", "_rebuild_parameter"): lambda values, *_: _array(values),
        }

    def persistent_load(self, told: object) -> np.ndarray:
        """The numbers of a storage, from ("storage", dtype, name, device, how many, ...)."""
        if not (isinstance(told, tuple) and len(told) >= 5 and told[0] == "storage" and isinstance(told[1], np.dtype)):
            raise InputError("it names a storage of no numbers")
        name, count = told[2], told[4]
        if not isinstance(name, str) or not isinstance(count, int) or count < 0:
            raise InputError("it names a storage without a name or a length")
        return self.storage(name, told[1], count)

    def tensor(self, storage: object, offset: object, shape: object, strides: object, *_: object) -> np.ndarray:
        """A tensor: its shape, and how far apart in the storage its numbers lie."""
        values, whole = _array(storage), (offset, *_numbers(shape), *_numbers(strides))
        if not all(type(one) is int and 0 <= one < 2**62 for one in whole) or len(shape) != len(strides):
            raise InputError("it has a tensor whose shape is none")
        self.spend(math.prod(shape) * values.itemsize)  # it may show one number a million times
        last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        if 0 in shape:
            return np.empty(shape, values.dtype)
        if values.ndim != 1 or last >= len(values):
            raise InputError(f"it has a tensor of shape {shape} in {len(values)} numbers")
        steps = [step * values.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(values[offset:], shape, steps).copy()


def _array(values: object) -> np.ndarray:
    if not isinstance(values, np.ndarray):
        raise InputError(f"it takes a {type(values).__name__} for a tensor")
    return values


def _numbers(values: object) -> tuple:
    if not isinstance(values, tuple) or len(values) > 8:
        raise InputError("it has a tensor whose shape is none")
    return values


def _from_archive(path: Path) -> object:
    with opened(path) as file, zipfile.ZipFile(file) as archive:
        check_members(path, archive)
        programs = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(programs) != 1:
            raise InputError(f"{path} must hold one data.pkl, found {len(programs)}")
        root = programs[0].removesuffix("data.pkl")
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in archive.namelist() else b"little"
        sign = ">" if order == b"big" else "<"

        def storage(name: str, dtype: np.dtype, count: int) -> np.ndarray:
            return _of(archive.read(f"{root}data/{name}"), dtype.newbyteorder(sign), count)

        program = io.BytesIO(archive.read(programs[0]))
        return quickly(_Unpickler(program, allowed(path), _once(storage)))


def _once(storage: Callable) -> Callable:
    """A storage is read once, however often it is named."""
    held: dict[str, np.ndarray] = {}

    def kept(name: str, dtype: np.dtype, count: int) -> np.ndarray:
        if name not in held:
            held[name] = storage(name, dtype, count)
        return held[name]

    return kept


def _of(content: bytes, dtype: np.dtype, count: int) -> np.ndarray:
    """`count` numbers of a storage."""
    if len(content) != count * dtype.itemsize:
        raise InputError(f"it has a storage of {count} numbers of {dtype} in {len(content)} bytes")
    return np.frombuffer(content, dtype)


def _from_row(path: Path) -> object:
    with opened(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        asked: dict[str, np.dtype] = {}

        def noted(name: str, dtype: np.dtype, count: int) -> np.ndarray:
            asked[name] = dtype.newbyteorder("<")
            return np.broadcast_to(np.zeros(1, dtype), count)  # no memory: the numbers stand behind

        for _ in range(3):  # the mark, the version, the machine
            quickly(_Unpickler(content, allowed(path), noted))
        begin = content.tell()
        _Looking(content, allowed(path), noted).load()
        names = quickly(_Unpickler(content, allowed(path), noted))
        if not isinstance(names, list) or {*map(str, names)} != {*asked}:
            raise InputError("its storages are not those that it names")
        held = {name: _next(content, asked[name]) for name in names}
        content.seek(begin)
        return quickly(_Unpickler(content, allowed(path), partial(_held, held)))


class _Looking(_Unpickler):
    """Looks at an object whose numbers have not been read."""

    def tensor(self, storage: object, *_: object) -> np.ndarray:
        return _array(storage)[:0]


def _next(content: mmap.mmap, dtype: np.dtype) -> np.ndarray:
    """The numbers of the next storage in a row: how many, then they."""
    count = int.from_bytes(content.read(8), "little")
    if count * dtype.itemsize > len(content) - content.tell():
        raise InputError("it was cut off")
    return _of(content.read(count * dtype.itemsize), dtype, count)


def _held(held: Mapping[str, np.ndarray], name: str, dtype: np.dtype, count: int) -> np.ndarray:
    if len(held[name]) != count:
        raise InputError(f"it has a storage of {count} numbers in {len(held[name])}")
    return held[name]
