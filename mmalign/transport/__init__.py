"""Entropic optimal transport inside a window: `align`, `sinkhorn`, and what the released code does instead.

Works without the rest of the package, but for the masks, the errors and their checks.
"""

from .sinkhorn_windowed import TransportPlan, align, log_domain, marginal_gap, official, sinkhorn

__all__ = ["TransportPlan", "align", "log_domain", "marginal_gap", "official", "sinkhorn"]
