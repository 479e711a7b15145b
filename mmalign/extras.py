"""Packages that only some commands and systems need: who imports one that is not installed is told how to get it.

The method alone needs torch, numpy and numba. Everything else comes with an extra of `pip install "mmalign[...]"`.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec

from .errors import InputError

EXTRA = {  # of a module, as `pyproject.toml` lists them
    **dict.fromkeys(("h5py", "pandas", "safetensors", "scipy", "sklearn", "tqdm", "yaml"), "train"),
    **dict.fromkeys(("anywidget", "matplotlib", "seaborn"), "book"),
    "distributed": "dask",
    "ot": "bench",
    "transformers": "language",
}


class NotInstalled(ModuleNotFoundError, InputError):
    """A package that an extra of ours brings; the message is the line that installs it."""


class _Extras(MetaPathFinder):
    """Asked last, when nobody has found a module; others than us may do without it and are not disturbed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        extra = EXTRA.get(name)
        if extra and _importer().partition(".")[0] == "mmalign":
            raise NotInstalled(f'{name} is not installed; it comes with pip install "mmalign[{extra}]"', name=name)
        return None


def _importer() -> str:
    """The module whose import statement is being carried out."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("importlib"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def answer() -> None:
    """Say from now on what brings a package that is missing."""
    sys.meta_path.append(_Extras())
