"""Where samples come from, who lacks what, and how they reach a system."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
