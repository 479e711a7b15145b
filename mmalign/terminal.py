"""The way out: streams that may be closed, full or narrow, and Ctrl-C at any moment."""

import _thread
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

from .errors import InputError, shown
from .interrupt import leave


def note(text: str) -> None:
    """One line for whoever watches."""
    print(f"mmalign: {shown(text)}", file=sys.stderr)


# ---- streams ---------------------------------------------------------------------------------------------


class _Stream:
    """A standard stream. Beside what is said here it is the stream that it stands for."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def _silence(self) -> None:
        """Let nothing that is left in it be tried again when the process ends."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


class _Results(_Stream):
    """Standard output, line by line as a terminal may be shown it. What cannot be written is said."""

    def write(self, text: str) -> int:
        safe = "\n".join(shown(line) for line in text.split("\n")) if not text.isprintable() else text
        self._try(lambda: self.stream.write(safe))
        return len(text)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except BrokenPipeError:  # whoever read it has gone, and wants no more
            self._silence()
        except OSError as error:
            self._silence()
            raise InputError(f"the result cannot be written to standard output: {error.strerror}") from None


class _Asides(_Stream):
    """Standard error. What cannot be said there is not said, and nothing ends of it."""

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except (OSError, ValueError):
            self._silence()
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError):
            self._silence()


@contextmanager
def streams() -> Iterator[None]:
    """Standard output and standard error as a command needs them, whatever became of them before."""
    for number in (0, 1, 2):  # a file of ours would take the number of one that is closed
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # in ASCII too
    sys.stdout, sys.stderr = _Results(before[0] or _nowhere(1)), _Asides(before[1] or _nowhere(2))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _nowhere(number: int) -> TextIO:
    """What stands for a stream that was closed."""
    return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


# ---- Ctrl-C ----------------------------------------------------------------------------------------------

pressed = False  # since the last command began


@contextmanager
def interrupts(alone: bool) -> Iterator[None]:
    """Ctrl-C ends a command at once, until it calls `careful`.

    Args:
        alone: the process ends with the command, and what it was before need not come back.
    """
    global pressed
    pressed, before = False, signal.getsignal(signal.SIGINT)
    hook = sys.unraisablehook
    sys.unraisablehook = lambda told: _swallowed(told, hook)
    _set(leave)
    try:
        yield
    finally:
        if alone:
            _set(signal.SIG_IGN)  # all is done; Python, while it ends, would put back the handler that kills
        else:
            sys.unraisablehook = hook
            _set(before)


def careful() -> None:
    """From now on there is something to put in order: Ctrl-C, or a batch system's SIGTERM, is an exception."""
    _set(_raise)
    with suppress(ValueError):  # of a thread
        signal.signal(signal.SIGTERM, _raise)


def finished(status: int) -> None:
    """From now on everything is done, and Ctrl-C only ends the process a little sooner."""
    _set(lambda *_: os._exit(status))


def _set(handler: Any) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a job of the background is not to hear it
        with suppress(ValueError, TypeError):  # not of a thread; not one that Python has set
            signal.signal(signal.SIGINT, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    global pressed
    pressed = True
    raise KeyboardInterrupt


def _swallowed(told: "sys.UnraisableHookArgs", hook: Callable[["sys.UnraisableHookArgs"], object]) -> None:
    """Where nothing may be raised, such as in a destructor, Ctrl-C would be lost: it is pressed again."""
    if told.exc_type is KeyboardInterrupt:
        _thread.interrupt_main()
    else:
        hook(told)
