"""Classes that are named in words: `package.module:Class`, or `folder/file.py:Class` for a file of one's own."""

import atexit
import hashlib
import importlib
import importlib.util
import inspect
import shutil
import sys
import tempfile
import traceback
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from .errors import InputError
from .files import opened

BROKEN = (Exception, SystemExit)  # of an import: a script that was not written to be imported may leave


def find(place: str) -> type:
    """The class that stands at `place`. Its module is imported when it is first asked for.

    Raises:
        InputError: no such file, module or class, or the module cannot be imported; the message says where.
    """
    where, colon, name = place.rpartition(":")
    if not (colon and where and name.isidentifier()):
        raise InputError(f"package.module:Class or folder/file.py:Class was expected, found {place!r}")
    module = _from_file(place, Path(where)) if where.endswith(".py") else _from_module(place, where)
    found = getattr(module, name, None)
    if not isinstance(found, type):
        known = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise InputError(f"{where} has no class {name}; it has {', '.join(known) or 'none'}")
    return found


def digest(kind: type) -> str:
    """A hash of the file that a class is written in: change a line of it, and its runs are other runs."""
    return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()[:20]


def content(place: str) -> bytes | None:
    """What stands in the file of `folder/file.py:Class`, to be carried to where the file is not; None of a module."""
    where = place.rpartition(":")[0]
    return Path(where).read_bytes() if where.endswith(".py") else None


@cache
def unpacked(place: str, content: bytes) -> str:
    """The place of the same class in a file that was carried here; it goes when this process ends."""
    where, _, name = place.rpartition(":")
    folder = Path(tempfile.mkdtemp(prefix="mmalign-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / where.replace("\\", "/").rpartition("/")[2]
    path.write_bytes(content)
    return f"{path}:{name}"


def _from_module(place: str, name: str) -> ModuleType:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        _search(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(place, error) from error
        raise InputError(f"{place}: there is no module {error.name}") from None
    except BROKEN as error:
        raise _broken(place, error) from error


def _from_file(place: str, path: Path) -> ModuleType:
    """A file as a module whose name says what is in it, so that a changed file is another module."""
    try:
        with opened(path) as file:
            content = file.read()
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    name = f"{path.stem}_{hashlib.sha256(content).hexdigest()[:20]}"
    if name not in sys.modules:
        _search(path.parent)
        loader = SourceFileLoader(name, str(path.resolve()))
        spec = importlib.util.spec_from_loader(name, loader)
        assert spec  # a file always has one
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        try:
            loader.exec_module(module)
        except BROKEN as error:
            del sys.modules[name]
            raise _broken(place, error) from error
    return sys.modules[name]


def _search(folder: Path) -> None:
    """Modules beside one's own are found too, as Python does for a script; last, so that they hide none."""
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))


def _broken(place: str, error: BaseException) -> InputError:
    """What is wrong inside a module of one's own, and in which line."""
    *_, last = traceback.extract_tb(error.__traceback__)
    where = "" if isinstance(error, SyntaxError) else f" ({Path(last.filename).name}, line {last.lineno})"
    return InputError(f"{place} cannot be imported: {type(error).__name__}: {error}{where}")
