"""Loops that numba compiles when they are first called, with a cache on disk whose failures cost speed, not the run.

numba's own cache raises where its folder cannot be written or a file is damaged, and runs machine code unseen. Here
a file counts only if its checksum is right; whatever goes wrong means: compile again.
"""

import contextlib
import gc
import hashlib
import pickle
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of settings in the environment that it does not understand
        from numba import njit
        from numba import types as types  # so that those who write loops ask numba for nothing themselves
        from numba.core import config, event
        from numba.core.caching import FunctionCache, IndexDataCacheFile
        from numba.extending import overload as overload
except ModuleNotFoundError:
    raise
except Exception as error:
    raise ModuleNotFoundError(f"numba cannot be used: {error}", name="numba") from error
if getattr(config, "DISABLE_JIT", False):  # our loops rely on numba's numbers, which wrap around and divide by zero
    raise ModuleNotFoundError("numba has been told to compile nothing", name="numba")

# How freely floats may be rearranged. Without "reassoc" every rounding counts, where large numbers cancel; with it sums
# vectorise. "nnan": there is no NaN. Infinity keeps its meaning everywhere.
EXACT = frozenset({"contract", "nsz", "nnan"})
FAST = EXACT | {"reassoc"}
FAST_WITH_NAN = frozenset({"contract", "nsz", "arcp", "reassoc"})

# Loops over the arrays of a caller make and keep none: without counted references, and without a search for expressions
# over whole arrays, there is less to compile.
LEAN: dict[str, Any] = {"_nrt": False, "no_cfunc_wrapper": True, "no_rewrites": True}

Loop = Callable[..., Any]


def jit(fastmath: frozenset[str]) -> Callable[[Loop], Loop]:
    """A decorator: compile once for each type of the arguments, without the GIL, and keep the code on disk."""

    def decorate(function: Loop) -> Loop:
        dispatcher: Any = njit(nogil=True, error_model="numpy", fastmath=set(fastmath), **LEAN)(function)
        with contextlib.suppress(Exception):  # nowhere to write, or a numba that is different inside: no cache
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


def inlined(fastmath: frozenset[str]) -> Callable[[Loop], Loop]:
    """A decorator for what loops call: it becomes a part of each of them, and cannot be called from Python."""
    options: dict[str, Any] = {**LEAN, "no_cpython_wrapper": True}
    return njit(error_model="numpy", forceinline=True, fastmath=set(fastmath), **options)


def seconds_compiling() -> float:
    """How long this process has waited for the compiler so far: not to be booked as training."""
    return _WATCH.seconds


class _CheckedFile(IndexDataCacheFile):
    """The files of one function: an index, and machine code behind its SHA-256."""

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except Exception:
            return {}  # damaged: written anew

    def _save_data(self, name: str, data: object) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            digest, content = file.read(32), file.read()
        if hashlib.sha256(content).digest() != digest:
            raise OSError(f"{name} is damaged")
        return pickle.loads(content)


class _Cache(FunctionCache):
    """numba's cache of one function, for which any trouble means: not found, or not kept."""

    def __init__(self, function: Loop) -> None:
        super().__init__(function)
        locator = self._impl.locator
        self._cache_file = _CheckedFile(self._cache_path, self._impl.filename_base, locator.get_source_stamp())

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        with contextlib.suppress(Exception):
            return super().load_overload(signature, target_context)
        return None

    def save_overload(self, signature: Any, data: Any) -> None:
        with contextlib.suppress(Exception):
            super().save_overload(signature, data)


class _Watch(event.Listener):
    """Counts the seconds, and says once why there is a pause, where someone watches.

    Meanwhile rubbish is not collected: a compiler makes a million objects that live, and looking through them, and
    through all of torch's, again and again is an eighth of the time.
    """

    def __init__(self) -> None:
        self.seconds, self._depth, self._begun, self._collects = 0.0, 0, 0.0, False

    def on_start(self, _: Any) -> None:
        if self._depth == 0:
            self._begun, self._collects = time.perf_counter(), gc.isenabled()
            gc.disable()
            if self.seconds == 0 and sys.stderr is not None and sys.stderr.isatty():
                print("compiling for this machine, once: a few seconds", file=sys.stderr)
        self._depth += 1

    def on_end(self, _: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._begun
            if self._collects:
                gc.enable()


_WATCH = _Watch()
event.register("numba:compile", _WATCH)
