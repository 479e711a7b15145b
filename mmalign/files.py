"""How files are opened and written: nothing is waited for, no link is written through, nothing is there by half."""

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import InputError

try:
    import fcntl
except ImportError:  # Windows locks otherwise, see `_lock`
    fcntl = None  # type: ignore[assignment]
    import msvcrt

KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
         stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}  # fmt: skip
_BINARY = getattr(os, "O_BINARY", 0)  # or Windows would write two bytes for the end of a line
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # to open a pipe would otherwise wait for whoever writes to it
FAR = 2**30
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def _open(path: str | Path, flags: int, what: str) -> int:
    """A handle of a plain file, or an `InputError` that says that it cannot be `what`: read, or written."""
    try:
        handle = os.open(path, flags, 0o666)
    except FileNotFoundError:
        why = "it is not there" if what == "read" else "there is no such folder"
        raise InputError(f"cannot {what} {path}: {why}") from None
    except OSError as error:
        if what == "write" and os.path.islink(path):
            raise InputError(f"cannot write {path}: it is a link, and what it points to may be another's") from None
        raise InputError(f"cannot {what} {path}: {error.strerror}") from None
    except (ValueError, UnicodeError) as error:  # a zero byte, a letter that no file name can have
        raise InputError(f"cannot {what} {path}: {error}") from None
    about = os.fstat(handle)
    if stat.S_ISREG(about.st_mode) and (what == "read" or about.st_nlink == 1):
        return handle
    os.close(handle)
    found = KINDS.get(stat.S_IFMT(about.st_mode), "a file with a second name")
    raise InputError(f"cannot {what} {path}: a plain file was expected, found {found}")


def nameable(path: str | Path) -> Path:
    """A path, if a file can have such a name.

    Raises:
        InputError: it holds a zero byte, or a letter that this system has no bytes for.
    """
    try:
        os.lstat(path)
    except OSError:  # whether it is there is another question
        pass
    except ValueError as error:
        raise InputError(f"no file can be called {path}: {error}") from None
    return Path(path)


def opened(path: str | Path) -> BinaryIO:
    """A file, open for reading. A link may lead to it, as data sets are kept on clusters; it is a plain file.

    Raises:
        InputError: it is not there, or a folder, a pipe or a device stands under its name.
    """
    return os.fdopen(_open(path, os.O_RDONLY | _BINARY | _AT_ONCE, "read"), "rb")


def read_text(path: str | Path, most: int = 2**26) -> str:
    """The text of a file of at most `most` bytes.

    Raises:
        InputError: the file cannot be read, is larger, or is not UTF-8.
    """
    with opened(path) as file:
        held = os.fstat(file.fileno()).st_size
        if held > most:
            raise InputError(f"{path} holds {held} bytes, and a text of at most {most} was expected")
        try:
            return file.read(most).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not text: {error.reason} at byte {error.start}") from None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None


def own(path: str | Path) -> BinaryIO:
    """A file of ours, made where it is not there, open for reading and writing, its content kept.

    Raises:
        InputError: it cannot be written, or a link or anything else but a plain file stands under its name.
    """
    flags = os.O_RDWR | os.O_CREAT | _BINARY | _AT_ONCE | _NO_LINK
    return os.fdopen(_open(path, flags, "write"), "r+b")


@contextmanager
def locked(path: str | Path, held: str) -> Iterator[BinaryIO]:
    """Hold the lock that a file stands for. It goes with its process, however that ends.

    Args:
        path: the file.
        held: what to say where somebody else holds it; what that process wrote into it follows.

    Raises:
        InputError: it cannot be made, or somebody else holds it.
    """
    with own(path) as file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            raise InputError(f"{held}{file.read(200).decode(errors='replace')}") from None
        except OSError as error:
            raise InputError(f"{path} cannot be locked: {error.strerror}") from None
        yield file


def _lock(file: BinaryIO) -> None:
    """Take the lock of an open file, or raise `OSError` at once."""
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    file.seek(FAR)  # where nothing is written: on Windows nobody else can read a byte that is locked
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    finally:
        file.seek(0)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write `content` to `path`; a reader never meets a half file, whatever happens meanwhile.

    Raises:
        InputError: the place cannot be written; nothing is left behind.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    except (ValueError, UnicodeError) as error:
        raise InputError(f"cannot write {path}: {error}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
