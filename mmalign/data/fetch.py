"""Public files, brought into the data folder whole or not at all.

A download goes to NAME.part, which a later one continues, and takes its name when its hash is right. What is cut
or altered on the way never stands where a reader looks. One process at a time holds the part of a file.
"""

import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from queue import Empty, Queue
from typing import Any, BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from ..errors import InputError, line_of
from ..files import locked, opened
from .published import COMMIT, DIGESTS, FOLDERS

BASE = f"https://raw.githubusercontent.com/pliang279/MFN/{COMMIT}"
PIECE = 2**16  # bytes
PATIENCE = 30  # seconds that a server may be silent
PACE = 5_000  # bytes a second that it must send, on the average of any WINDOW seconds
WINDOW = 60
LARGEST = 2**32  # bytes of a file; none that is published comes near


def fetch(name: str, folder: Path, base: str = BASE, progress: bool | None = None) -> list[Path]:
    """Every published file of a data set; those that are there and right are not fetched again.

    Args:
        name: ict-mmmo, pom, youtube or mosi.
        folder: where they are to lie.
        base: where the repository is served.
        progress: show a bar; by default where someone watches.

    Returns:
        The files that were fetched now.

    Raises:
        ValueError: the server does not give them, or not as they were published, or the folder cannot be written.
    """
    if name not in DIGESTS:
        raise InputError(f"{name} is not published for download; mmalign data fetch knows {', '.join(DIGESTS)}")
    hidden = not sys.stderr.isatty() if progress is None else not progress
    fetched = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, digest in tqdm(DIGESTS[name].items(), disable=hidden, unit="file"):
            path = folder / file
            if path.exists():
                _check_standing(path, digest)
                continue
            _fetch_file(f"{base}/{FOLDERS[name]}/{file}", path, digest, hidden)
            fetched.append(path)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    except OSError as error:  # of the disk; those of the network have been told apart below
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from None
    return fetched


def _check_standing(path: Path, digest: str) -> None:
    """Refuse to take another file for the published one, and to overwrite what is not ours."""
    if not path.is_file() or not matches(path, digest):
        raise InputError(f"{path} is there but is not the published file; move it away to fetch that")


def matches(path: Path, digest: str) -> bool:
    """Whether a file hashes to a SHA-256 (64 digits) or to a git blob id (40)."""
    with opened(path) as file:
        if len(digest) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        return hashlib.file_digest(file, lambda: blob).hexdigest() == digest


def _fetch_file(url: str, path: Path, digest: str, hidden: bool) -> None:
    """One file: continue what is there of it, check the whole, give it its name."""
    part = path.with_name(f"{path.name}.part")
    another = f"{path} is being fetched by another process; wait for it, or end it"
    with locked(part, another) as file:
        if not part.exists() or os.fstat(file.fileno()).st_ino != part.stat().st_ino:
            raise InputError(another)  # which has given it its name in the meantime
        try:
            _download(url, file, part.stem, hidden)
        except (HTTPException, _Network) as error:
            raise InputError(f"{url} cannot be fetched: {line_of(error)}; the same command goes on from here") from None
        finally:
            file.flush()
            if os.fstat(file.fileno()).st_size == 0:
                part.unlink()
        if not part.exists() or not matches(part, digest):
            part.unlink(missing_ok=True)
            raise InputError(f"{url} is not the published file: what came was deleted; its hash should be {digest}")
        part.replace(path)


class _Network(Exception):
    """The server, or the way to it, failed."""


def _download(url: str, file: BinaryIO, name: str, hidden: bool) -> None:
    """Append to `file` what it lacks of that at `url`."""
    have = file.seek(0, 2)
    arriving = _arriving(Request(url, headers={"Range": f"bytes={have}-"} if have else {}))
    try:
        answer = next(arriving)
    except HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing is left to send: it is whole, and the hash will tell
            return
        raise _Network(f"the server says {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        raise _Network(getattr(error, "reason", None) or error) from None
    goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    left = answer.headers.get("Content-Length", "")
    total = int(left) + (have if goes_on else 0) if left.isdecimal() and len(left) < 20 else None
    if total is not None and total > LARGEST:
        raise _Network(f"{total:.3g} bytes were announced, too many for any file that is published")
    file.truncate(have := have if goes_on else 0)
    file.seek(have)
    with tqdm(total=total, initial=have, desc=name, disable=hidden, unit="B", unit_scale=True, leave=False) as bar:
        for piece in _paced(_pieces(arriving)):
            file.write(piece)
            bar.update(len(piece))
            if file.tell() > LARGEST:
                raise _Network(f"more than {LARGEST} bytes came, too many for any file that is published")
    if total is not None and file.tell() < total:
        raise _Network(f"{file.tell()} of {total} bytes came")


def _paced(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, as long as they do not merely drip."""
    began, came = time.monotonic(), 0
    for piece in pieces:
        yield piece
        came += len(piece)
        if (waited := time.monotonic() - began) > WINDOW:
            if came < PACE * waited:
                raise _Network(f"only {came / waited:.0f} bytes a second came, at least {PACE} were expected")
            began, came = time.monotonic(), 0


def _pieces(arriving: Iterator[bytes]) -> Iterator[bytes]:
    """The body, piece by piece, with the errors of the network told from those of the disk."""
    try:
        yield from arriving
    except OSError as error:
        raise _Network(error) from None


def _arriving(request: Request) -> Iterator[Any]:
    """The head of an answer, then its body piece by piece.

    Another thread waits for them: a server that sends a letter now and then is never silent, and one call of the
    library, for a header or the size of a chunk, would wait for it without end.
    """
    come: Queue[Any] = Queue(16)

    def wait() -> None:
        try:
            with urlopen(request, timeout=PATIENCE) as answer:
                come.put(answer)
                while piece := answer.read1(PIECE):  # what is there: a whole piece may be long in coming
                    come.put(piece)
            come.put(None)
        except Exception as error:
            come.put(error)

    threading.Thread(target=wait, daemon=True).start()
    while True:
        try:
            got = come.get(timeout=WINDOW)
        except Empty:
            raise _Network(f"nothing whole came within {WINDOW} seconds") from None
        if got is None:
            return
        if isinstance(got, Exception):
            raise got
        yield got
