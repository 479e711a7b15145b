"""Import names of the first release, which keep working: `mmalign.tables` is `mmalign.experiments.tables`.

Each old name is the very module that has moved, so that a class stays one class however it is imported. Using one
warns; the policy is in `book/contribute.md`.
"""

import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PLACES = {
    "bench": "experiments.bench",
    "compiled": "transport.compiled",
    "compiled_gru": "method.gru_compiled",
    "dynamics": "method.dynamics",
    "encoders": "method.encoders",
    "grids": "experiments.grids",
    "imputing": "method.denoising",
    "model": "method.model",
    "mult": "method.backbone",
    "plots": "figures.plots",
    "plus": "method.plus",
    "readout": "method.readout",
    "recurrent": "method.gru",
    "reproduce": "experiments.reproduce",
    "statistics": "experiments.statistics",
    "sweep": "experiments.sweep",
    "tables": "experiments.tables",
    "widgets": "figures.widgets",
}


class _Moved(MetaPathFinder, Loader):
    """Finds a module under its old name, where nothing else answers to it."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, old = name.rpartition(".")
        return ModuleSpec(name, self) if package == "mmalign" and old in PLACES else None

    def exec_module(self, module: ModuleType) -> None:
        """The module that has moved takes the place of the empty one that was made for its old name."""
        new = f"mmalign.{PLACES[module.__name__.rpartition('.')[2]]}"
        warnings.warn(f"{module.__name__} is {new} now", DeprecationWarning, stacklevel=2)
        sys.modules[module.__name__] = importlib.import_module(new)


def answer() -> None:
    """Let the old names be found from now on."""
    sys.meta_path.append(_Moved())
