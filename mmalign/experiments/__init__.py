"""Many trainings, and what they say: one run and its record, grids and sweeps of them, tables and intervals."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
