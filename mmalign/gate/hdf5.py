"""HDF5, read by another process: the library that reads it can be killed by one wrong byte, and hang, and follow
links. Whatever happens to that process, here it is an error in one line. A file of ours whose seal is whole is read
at once: to the byte it is what was written.
"""

import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import h5py
import numpy as np

from ..errors import InputError, line_of
from ..files import opened
from . import hdf5_child
from .kinds import HDF5, expect
from .limits import allowed, check_claim
from .seal import is_whole

PATIENCE = 60  # seconds of waiting
COMPUTING = 8  # seconds that a file may take to be read
PACE = 10_000_000  # and beside both, bytes that a second reads at least


def start() -> subprocess.Popen:
    """The process that reads. It finds its modules where this one does."""
    command = [sys.executable, "-P", hdf5_child.__file__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(command, **pipes)
    child.stdin.write(json.dumps(sys.path).encode() + b"\n")
    return child


class Reader:
    """Reads HDF5 files, one after the other. To be used in a `with` block, at whose end the process goes."""

    path: Path
    _child: subprocess.Popen | None = None
    _ours: h5py.File | None = None  # where no process is needed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._put_down()
        if self._child is not None:
            self._child.kill()
            for stream in (self._child.stdin, self._child.stdout):
                with suppress(OSError):  # what it was to be told is told to nobody
                    stream.close()
            self._child.wait()

    def open(self, path: Path) -> Self:
        """Turn to a file."""
        opened(path).close()  # a plain file, and no pipe to wait for
        expect(path, HDF5)
        self._put_down()
        self.path = path
        if is_whole(path):
            self._ours = self._here(lambda: h5py.File(path, "r"))
            return self
        if self._child is None:
            try:
                self._child = start()
            except OSError as error:
                raise InputError(f"cannot read {path}: no process can be started for it: {error.strerror}") from None
        self._ask("open", str(path.absolute()), allowed(path), COMPUTING + path.stat().st_size // PACE)
        return self

    @property
    def sealed(self) -> bool:
        """Whether the file is, to the byte, what we wrote."""
        return self._ours is not None

    def names(self) -> list[str]:
        """What stands at the top of the file."""
        return self._ask("names")

    def text(self, name: str) -> str | None:
        """An attribute of the file, None where there is no such text."""
        return self._ask("text", name)

    def array(self, key: str) -> np.ndarray:
        """The numbers under a key, if they lie in this file and it is large enough to hold them.

        Raises:
            InputError: there are none, or they claim too much, or reading them failed.
        """
        about = self._ask("about", key)
        if not about:
            raise InputError(f"{self.path} must hold an array {key!r}")
        if about["dtype"][1:2] not in "fiu":
            raise InputError(f"{self.path}: {key!r} must hold numbers, found {about['dtype']}")
        if about["outside"]:
            raise InputError(f"{self.path}: the numbers of {key!r} lie in other files")
        values_type = np.dtype(about["dtype"])
        check_claim(self.path, f"array {key!r}", max(math.prod(about["shape"]) * values_type.itemsize, about["piece"]))
        if self.sealed:
            return np.asarray(self._here(lambda: hdf5_child.array(self._ours, key)[()]), values_type)
        values = np.empty(about["shape"], values_type)
        self._ask("numbers", key, into=memoryview(values.reshape(-1).view("u1")))
        return values

    def _put_down(self) -> None:
        if self._ours is not None:
            self._ours.close()
            self._ours = None

    def _here(self, act: Callable[[], object]) -> object:
        """What is done in this process, or an error like that of the other."""
        try:
            return act()
        except Exception as error:
            raise InputError(f"{self.path} is not a sound HDF5 file: {line_of(error)}") from None

    def _ask(self, *request: object, into: memoryview | None = None) -> object:
        """The answer to a request; the bytes that follow it go into `into`."""
        if self.sealed:
            what, *told = request
            return self._here(lambda: hdf5_child.QUESTIONS[what](self._ours, *told))
        seconds = PATIENCE + self.path.stat().st_size // PACE
        watch = threading.Timer(seconds, self._child.kill)
        watch.daemon = True
        watch.start()
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            told = json.loads(self._child.stdout.readline())
            if into is not None and told.get("answer") == len(into):
                cut = _fill(into, self._child.stdout.readinto) < len(into)
            else:
                cut = into is not None and "error" not in told
            if cut:
                raise EOFError
        except (OSError, ValueError, EOFError):
            raise InputError(f"{self.path} is not a sound HDF5 file: what reads it died of it") from None
        finally:
            watch.cancel()
        if "error" in told:
            raise InputError(f"{self.path} is not a sound HDF5 file: {told['error']}")
        return told["answer"]


def _fill(into: memoryview, read: Callable[[memoryview], int]) -> int:
    """Read until it is full, or nothing comes."""
    done = 0
    while done < len(into) and (count := read(into[done:])):
        done += count
    return done
