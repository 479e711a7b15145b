"""mmalign: missing modality sequences, imagined by learnt alignment.

A reproduction of MM-Align (Han, Chen, Kan, Poria, EMNLP 2022, arXiv 2210.12798), its rivals and its bounds.
Start with `load` or `from_arrays`, build a system with its `from_data`, then `fit` and `evaluate`.

What is exported stands in `__init__.pyi`, which type checkers read too; each name is imported when it is first used.
"""

from . import interrupt

interrupt.listen()  # before anything else is loaded

from importlib.metadata import version  # noqa: E402

import lazy_loader  # noqa: E402

from . import extras, moved  # noqa: E402

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
extras.answer()  # to what is imported and not installed
moved.answer()  # to the import names of the first release
__version__ = version("mmalign")
