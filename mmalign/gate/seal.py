"""The seal behind a file of ours: the SHA-256 of all that stands before it, checked before anything else reads it.

It tells damage, and a file that somebody else has touched. Whoever wants to deceive can seal as well: what a sealed
file claims is weighed like any other's.
"""

import hashlib
import os
from pathlib import Path

from ..files import opened

MARK = b"\nmmalign sealed "
MOST = 2**34  # bytes that a file of ours may have: to hash a larger one takes too long, and it may be all holes
SIZE = len(MARK) + hashlib.sha256().digest_size


def seal(path: Path) -> None:
    """Put the seal behind a file, and let it reach the disk."""
    made = MARK + _digest(path, path.stat().st_size)
    with open(path, "ab") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())


def is_whole(path: Path) -> bool:
    """Whether a file is, to the byte, what was sealed."""
    size = path.stat().st_size - SIZE
    if not 0 <= size <= MOST:
        return False
    with opened(path) as file:
        file.seek(size)
        found = file.read()
    return found.startswith(MARK) and found == MARK + _digest(path, size)


def _digest(path: Path, size: int) -> bytes:
    """The SHA-256 of the first bytes of a file."""
    digest = hashlib.sha256()
    with opened(path) as file:
        while size > 0 and (piece := file.read(min(size, 2**20))):
            digest.update(piece)
            size -= len(piece)
    return digest.digest()
