"""Read a pickle without letting it run anything.

A pickle is a program: it names functions, calls them and sets the insides of what they return. This reader
knows the few names that rebuild arrays, puts functions of its own behind them that look at every argument,
and refuses every other name before it is looked up. It is the interpreter of the standard library that is
written in Python: the one in C takes the memory that a file claims before it finds the file shorter.
"""

import gc
import math
import mmap
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from ..errors import InputError, line_of
from ..files import opened
from .kinds import PICKLE, expect
from .limits import allowed, array_header

BOX = 100  # bytes that a list, a dictionary, a tuple or an entry of the memo takes, roughly


def _refuse(why: str) -> None:
    raise pickle.UnpicklingError(why)


class _Dtype:
    """What stands for a numpy dtype: plain numbers, strings, or objects. Its state only says the byte order."""

    def __init__(self, code: str | bytes, align: object = False, copy: object = False) -> None:
        code = code.decode("latin1") if isinstance(code, bytes) else code
        if not (isinstance(code, str) and re.fullmatch(r"[<>|=]?([biufSU]\d{0,6}|O8?)", code)):
            _refuse("it asks for an array of other than numbers, strings and objects")
        self.dtype = np.dtype(code[:1] if code in ("O8", "|O8") else code)

    def __setstate__(self, state: tuple) -> None:
        order, insides = state[1], state[2:5]
        if isinstance(order, bytes):
            order = order.decode("latin1")
        if order not in ("<", ">", "|", "=") or any(inside is not None for inside in insides):
            _refuse("it asks for an array of records")
        self.dtype = self.dtype.newbyteorder(order)


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray:
    """The empty array that a pickled array begins as."""
    if kind is not np.ndarray or shape != (0,):
        _refuse("it asks for an array that is not empty at first")
    return np.empty(0, np.int8)


def _plain_bytes(data: object, dtype: np.dtype, count: int) -> bytes:
    """The content of `count` numbers or strings; latin1 is how Python 3 reads the bytes of Python 2."""
    data = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(data, bytes | bytearray) or dtype.hasobject or len(data) != count * dtype.itemsize:
        _refuse(f"it asks for {count} values of {dtype} from other than {count * dtype.itemsize} bytes")
    return bytes(data)


def _count(shape: object) -> int:
    """The number of values of a shape."""
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape) or len(shape) > 8:
        _refuse("it asks for an array whose shape is none")
    return math.prod(shape)


def _fill(array: np.ndarray, state: tuple) -> None:
    """Give an array its content: what numpy's own does, with every part looked at first."""
    shape, dtype, by_column, data = state[-4:]  # a version may stand in front
    count = _count(shape)
    if not isinstance(dtype, _Dtype):
        _refuse("it asks for an array without a dtype")
    if dtype.dtype.hasobject:
        if not isinstance(data, list) or len(data) != count:
            _refuse(f"it asks for {count} objects from other than a list of as many")
    else:
        data = _plain_bytes(data, dtype.dtype, count)
    array.__setstate__((1, shape, dtype.dtype, bool(by_column), data))


def _scalar(dtype: object, data: object) -> np.generic:
    """A number or a string on its own."""
    if not isinstance(dtype, _Dtype):
        _refuse("it asks for a number without a dtype")
    return np.frombuffer(_plain_bytes(data, dtype.dtype, 1), dtype.dtype)[0]


def _from_buffer(data: object, dtype: object, shape: object, order: object) -> np.ndarray:
    """An array as protocol 5 has it."""
    if not isinstance(dtype, _Dtype) or order not in ("C", "F"):
        _refuse("it asks for an array without a dtype or an order")
    content = _plain_bytes(data, dtype.dtype, _count(shape))
    return np.frombuffer(bytearray(content), dtype.dtype).reshape(shape, order=order)


def _bytes(text: object, encoding: object) -> bytes:
    """What `_codecs.encode` does for the bytes of an array in an old pickle, and nothing more."""
    if encoding != "latin1" or not isinstance(text, str):
        _refuse("it encodes text otherwise than an array needs")
    return text.encode("latin1")


def _mapping(*nothing: object) -> dict:
    """A dictionary of any kind is a plain one here."""
    if nothing and not callable(nothing[0]):
        _refuse("it asks for a dictionary with something in it")
    return {}


def _unknown() -> int:
    """What the public code names as the word of all unknown words; nobody calls it."""
    return 0


# The public word-to-id mapping is such a dictionary: it names a function of a module that nobody has here.
MAPPINGS: dict[tuple[str, str], Callable] = {
    ("collections", "defaultdict"): _mapping,
    ("create_dataset", "return_unk"): _unknown,
    ("__main__", "return_unk"): _unknown,
}
ALLOWED: dict[tuple[str, str], Callable] = {
    ("_codecs", "encode"): _bytes,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): np.ndarray,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("collections", "OrderedDict"): _mapping,
    **MAPPINGS,
}
_UNUSED = (
    "INST OBJ NEWOBJ NEWOBJ_EX EXT1 EXT2 EXT4 PERSID BINPERSID NEXT_BUFFER READONLY_BUFFER EMPTY_SET ADDITEMS FROZENSET"
).split()
_KEYS = (str, bytes, int, float, np.generic)


class SafeUnpickler(pickle._Unpickler):
    """The interpreter of a pickle, held to arrays and plain containers and to `budget` bytes of them."""

    dispatch: ClassVar = {
        code: step
        for code, step in pickle._Unpickler.dispatch.items()
        if code not in {getattr(pickle, name)[0] for name in _UNUSED}
    }

    allowed: ClassVar = ALLOWED

    def __init__(self, file: BinaryIO, budget: int) -> None:
        super().__init__(file, encoding="latin1")
        self.budget = self.left = budget

    def spend(self, size: int) -> None:
        """Count bytes that are made: a few instructions can ask for the same ones again and again."""
        self.left -= size
        if self.left < 0:
            _refuse(f"it unfolds to more than {self.budget} bytes, too many for its size")

    def find_class(self, module: str, name: str) -> object:
        try:
            return self.allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {f'{module}.{name}'[:80]}, which no array needs") from None

    def load_reduce(self) -> None:
        """Call a function on a tuple of arguments, where it is one of ours."""
        arguments = self.stack.pop()
        function = self.stack[-1]
        if type(arguments) is not tuple or not any(function is known for known in self.allowed.values()):
            _refuse("it calls what is not a function of arrays")
        self.spend(BOX + sum(len(one) for one in arguments if isinstance(one, str | bytes | bytearray)))
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        """Set the insides of an array or of a dtype; nothing else has any."""
        state = self.stack.pop()
        target = self.stack[-1]
        if type(state) is not tuple or type(target) not in (np.ndarray, _Dtype):
            _refuse(f"it sets the insides of a {type(target).__name__}")
        self.spend(BOX + (len(state[-1]) if state and isinstance(state[-1], str | bytes | list) else 0))
        _fill(target, state) if type(target) is np.ndarray else target.__setstate__(state)

    def load_appends(self) -> None:
        """Lengthen a list; the standard step calls whatever `extend` it finds."""
        items = self.pop_mark()
        self._top(list).extend(items)

    def load_append(self) -> None:
        """Lengthen a list by one."""
        item = self.stack.pop()
        self._top(list).append(item)

    def load_setitems(self) -> None:
        """Entries of a dictionary."""
        self._enter(self.pop_mark())

    def load_setitem(self) -> None:
        """One entry."""
        value, key = self.stack.pop(), self.stack.pop()
        self._enter([key, value])

    def load_dict(self) -> None:
        """A dictionary, as protocol 0 makes it."""
        items = self.pop_mark()
        self.append({})
        self._enter(items)

    def _enter(self, items: list) -> None:
        """Keys and values in turn. Keys are names or numbers: to hash a tuple nested a million deep would crash us."""
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, _KEYS):
                _refuse(f"it has a dictionary with a {type(key).__name__} for a key")
            target[key] = value

    def _top(self, kind: type) -> object:
        """What lies on the stack, if it is of that kind."""
        if type(self.stack[-1]) is not kind:
            _refuse(f"it takes a {type(self.stack[-1]).__name__} for a {kind.__name__}")
        return self.stack[-1]

    def load_bytearray8(self) -> None:
        """Bytes that protocol 5 calls writable: read first, so that their length is that of the file."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.APPENDS[0]] = load_appends
    dispatch[pickle.APPEND[0]] = load_append
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _counted(step: Callable) -> Callable:
    """A step that makes a box out of a byte or two."""

    def load(self: SafeUnpickler) -> None:
        self.spend(BOX)
        step(self)

    return load


for _name in "MARK EMPTY_LIST EMPTY_DICT TUPLE TUPLE1 TUPLE2 TUPLE3 LIST DICT PUT BINPUT LONG_BINPUT MEMOIZE".split():
    _code = getattr(pickle, _name)[0]
    SafeUnpickler.dispatch[_code] = _counted(SafeUnpickler.dispatch[_code])


def _unpickle(path: Path, start: int = 0) -> object:
    with opened(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        content.seek(start)
        return quickly(SafeUnpickler(content, allowed(path)))


def quickly(unpickler: pickle._Unpickler) -> object:
    """What it loads. Millions of containers would otherwise be searched for cycles again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return unpickler.load()
    finally:
        if collecting:
            gc.enable()


def readable(path: Path, read: Callable[[], object]) -> object:
    """What `read` returns, or an `InputError` that names the file, whatever went wrong."""
    try:
        return read()
    except InputError:
        raise
    except (Exception, RecursionError) as error:  # a broken pickle can raise anything
        raise InputError(f"{path} cannot be read: {_why(error)}") from None


def _why(error: Exception) -> str:
    """What an interpreter of pickles says, in words: an instruction that it does not know is a bare number."""
    if isinstance(error, KeyError):
        return "it is not a pickle of arrays, or is damaged"
    return "it was cut off" if isinstance(error, EOFError) else line_of(error)


def load_pickle(path: Path) -> object:
    """The object of a pickle: numpy arrays, numbers, strings and plain containers of them.

    Raises:
        ValueError: not such a file, or it asks for anything else.
    """
    expect(path, PICKLE)
    return readable(path, lambda: _unpickle(path))


def load_object_array(path: Path) -> object:
    """The object that `numpy.save` pickled into a .npy file.

    Raises:
        ValueError: not such a file, or it asks for anything but numpy arrays and plain containers.
    """

    def read() -> object:
        with opened(path) as file:
            shape, dtype = array_header(file)
            if shape != () or dtype != np.dtype(object):
                raise InputError(f"{path} must hold one pickled object, found shape {shape} of {dtype}")
            start = file.tell()
        return _unpickle(path, start).item()

    return readable(path, read)
