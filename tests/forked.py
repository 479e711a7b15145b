"""The command line in a process of its own, forked from one that has imported what it needs: no four seconds of torch.

It can be killed, stopped and waited for as any other. What is said of a start itself, of its streams and of its
imports, is asked of `python -m mmalign`.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
from pathlib import Path

from mmalign import cli

FROM = multiprocessing.get_context("forkserver")
FROM.set_forkserver_preload(["mmalign.experiments.sweep", "mmalign.method.model", "torch._dynamo"])


class Command:
    """`mmalign WORDS...`, begun; asked as `subprocess.Popen` is.

    `streams`: the number of a stream -> the file it goes to, None for a stream that is closed. `crew`: how
    workers of a sweep begin; forked, they import nothing either.
    """

    def __init__(self, *words, streams=None, crew="spawn"):
        self._said = tempfile.TemporaryDirectory()
        atexit.register(self._said.cleanup)
        self._files = [Path(self._said.name, name) for name in ("out", "err")]
        streams = {0: os.devnull, 1: self._files[0], 2: self._files[1], **(streams or {})}
        self._process = FROM.Process(target=_run, args=([*map(str, words)], streams, dict(os.environ), crew))
        self._process.start()
        self.pid = self._process.pid
        atexit.register(self.kill)  # else Python, before it ends, would wait for one that a failed test has left

    def poll(self):
        """Its exit status, negative for a signal that ended it; None while it runs."""
        return self._process.exitcode

    returncode = property(poll)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self._process.kill()

    def wait(self, timeout=300):
        self._process.join(timeout)
        assert self.returncode is not None, f"still running after {timeout} seconds"
        return self.returncode

    def communicate(self, timeout=300):
        """What it said to standard output and to standard error, once it has ended."""
        self.wait(timeout)
        return tuple(path.read_text(encoding="utf-8") if path.exists() else "" for path in self._files)


def _run(words, streams, environment, crew):
    os.environ.clear()
    os.environ.update(environment)
    for number, path in streams.items():
        if path is not None:
            there = os.open(path, os.O_RDWR | os.O_CREAT)
            os.dup2(there, number)
            os.close(there)
    for number in (number for number, path in streams.items() if path is None):
        os.close(number)
    sys.stdin, sys.stdout, sys.stderr = (_opened(number) if path else None for number, path in streams.items())
    begin = multiprocessing.get_context(crew)
    multiprocessing.get_context = lambda _: begin
    sys.argv = ["mmalign", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job of the background ignores it, and so would this
    sys.exit(cli.main())


def _opened(number):
    """A standard stream as Python opens it."""
    return open(number, "w" if number else "r", 1 if number == 2 else -1, encoding="utf-8", closefd=False)
