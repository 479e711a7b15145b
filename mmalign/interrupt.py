"""Ctrl-C before the command line is there to hear it: the package imports this first, and this next to nothing.

What happens earlier is Python's: until it has started, and has found this package, Ctrl-C ends it in its own words.
"""

import os
import signal
import sys

INTERRUPTED = 130  # the status of what Ctrl-C has ended


def leave(*_: object) -> None:
    """End at once: nothing needs an end yet, and an exception could be lost in the middle of an import."""
    try:
        os.write(2, b"mmalign: interrupted; nothing was written\n")
    finally:
        os._exit(INTERRUPTED)


def is_command() -> bool:
    """Whether this process is `mmalign` or `python -m mmalign`, and not a program that imports the package."""
    words = getattr(sys, "argv", [])  # an interpreter inside another program may have none
    told = sys.orig_argv[-len(words) :][:1]  # the script, or the module, behind Python's own options
    return [os.path.basename(name) for name in told] in (["mmalign"], ["mmalign.exe"])


def listen() -> None:
    """From now on Ctrl-C is one line, if this process is the command and was to hear it at all."""
    if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)
