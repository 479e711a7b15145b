"""A process that reads HDF5 for another: a damaged file can kill the library that reads it, and whoever called it.

Runs by itself, without the package, and answers one request a line on standard output: `open`, `names`, `text` of an
attribute, `about` an array, its `numbers`. What may be read is decided by whoever asks.
"""

import json
import sys
import time
from contextlib import suppress

SPARE = 2**28  # bytes beyond twice what a file may unfold to


def limit(size: int, seconds: int) -> None:
    """Let this process take so much more memory and computing, and no more, where the system can say so."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds, most))  # a loop can be endless
        with open("/proc/self/statm", encoding="ascii") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + size, most))


# ---- what is asked of a file; `Reader` asks it itself of a file of ours ------------------------------------


def names(file: object) -> list[str]:
    """What stands at the top of it."""
    return list(file)[:100]


def text(file: object, name: str) -> str | None:
    """An attribute of it, None where there is no such text."""
    value = file.attrs.get(name)
    return value if isinstance(value, str) else None


def about(file: object, key: str) -> dict:
    """What is to be weighed before an array is read."""
    found = array(file, key)
    if found is None:
        return {}
    if found.shape is None:
        return {"dtype": "nothing"}
    pieces = found.chunks or (0,)
    piece = found.dtype.itemsize
    for size in pieces:
        piece *= size
    outside = bool(found.external) or found.is_virtual
    return {"dtype": found.dtype.str, "shape": list(found.shape), "piece": piece, "outside": outside}


def array(file: object, key: str) -> object:
    """The array under a key, if no part of the way there leads out of the file."""
    import h5py

    place = file
    for name in key.split("/"):
        hard = isinstance(place, h5py.Group) and isinstance(place.get(name, getlink=True), h5py.HardLink)
        if not hard:
            return None
        place = place[name]
    return place if isinstance(place, h5py.Dataset) else None


QUESTIONS = {"names": names, "text": text, "about": about}


def serve(requests: object, answers: object) -> None:
    """Answer until nobody asks."""
    import h5py
    import numpy

    file = None
    for line in requests:
        what, *told = json.loads(line)
        content = b""
        try:
            if what == "open":
                path, size, seconds = told
                limit(2 * size + SPARE, seconds)
                file = h5py.File(path, "r")
                answer = True
            elif what == "numbers":
                content = numpy.ascontiguousarray(array(file, *told)[()]).reshape(-1).view("u1").data
                answer = len(content)
            else:
                answer = QUESTIONS[what](file, *told)
            said = {"answer": answer}
        except BaseException as error:  # a broken file can raise anything
            said, content = {"error": f"{error}" or type(error).__name__}, b""
        answers.write(json.dumps(said).encode() + b"\n")
        answers.write(content)
        answers.flush()
        del content


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.stdin.buffer.readline())
    serve(sys.stdin.buffer, sys.stdout.buffer)
