"""Entropic optimal transport inside a window: `align`, `sinkhorn`, and what the released code does instead.

Works without the rest of the package, but for the masks, the errors and the compiler.
"""

from .log_domain import log_domain
from .official import official, released
from .plan import TransportPlan
from .solver import align, sinkhorn

__all__ = ["TransportPlan", "align", "log_domain", "official", "released", "sinkhorn"]
