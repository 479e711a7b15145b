"""What `align` and `sinkhorn` ask of their arguments: one line that says what was found, and where."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .. import masks
from ..errors import ABOVE_0, AT_LEAST_0, InputError, check, whole

Given = Tensor | np.ndarray  # what a caller may hand over
Lengths = Tensor | np.ndarray | Sequence[int] | None


def to_tensor(name: str, value: Given, shape: str) -> Tensor:
    """The value as a dense tensor of float32 or float64 that holds its numbers in full; gradients stay attached."""
    expected = f"{name} must be a float32 or float64 tensor or array {shape}"
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{expected}, found a masked array; its mask would not be read: fill it, and give lengths")
    if isinstance(value, np.ndarray) and value.dtype in (np.float32, np.float64) and value.dtype.isnative:
        value = torch.from_numpy(np.require(value, requirements=["C", "W"]))
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64):
        raise InputError(f"{expected}, found {getattr(value, 'dtype', type(value).__name__)}")
    if value.layout != torch.strided or value.device.type == "meta" or value.is_nested:
        kind = "on device meta" if value.device.type == "meta" else f"of layout {value.layout}"
        raise InputError(f"{expected}, found one {kind}")
    if value.dim() != 3 or 0 in value.shape:
        raise InputError(f"{name} must have shape {shape}, none of them 0, found {tuple(value.shape)}")
    return value.resolve_neg()


def check_lengths(name: str, lengths: Lengths, batch: int, steps: int, device: torch.device) -> Tensor:
    """(B,) int64 true lengths, 1 to `steps`; all `steps` by default."""
    if lengths is None:
        return torch.full((batch,), steps, device=device)
    found = np.asarray(lengths.cpu() if isinstance(lengths, Tensor) else lengths)
    if found.shape != (batch,) or found.dtype.kind not in "iu":
        hint = "; a window is given by name, window=4" if found.shape == () and found.dtype.kind in "iu" else ""
        raise InputError(
            f"{name} must be {batch} whole numbers, one a sequence, found {found.dtype} {found.shape}{hint}"
        )
    for place in np.flatnonzero((found < 1) | (found > steps))[:1].tolist():
        raise InputError(f"{name} must lie in 1..{steps}, found {found[place]} at sequence {place}")
    return torch.from_numpy(found.astype(np.int64)).to(device)


def check_window(
    lengths: Lengths, other_lengths: Lengths, shape: tuple[int, int, int], window: int | None, like: Tensor
) -> masks.Window:
    """The window of (B, T1, T2) sequences with these true lengths; one length serves both where T1 = T2."""
    batch, steps, other_steps = shape
    if window is not None:
        check("window", window, whole(0))
    rows = check_lengths("lengths", lengths, batch, steps, like.device)
    if other_lengths is not None:
        columns = check_lengths("other_lengths", other_lengths, batch, other_steps, like.device)
    elif steps == other_steps:
        columns = rows
    elif lengths is None:
        columns = check_lengths("other_lengths", None, batch, other_steps, like.device)
    else:
        raise InputError(f"other_lengths are needed beside lengths: the sequences have {steps} and {other_steps} steps")
    found = masks.Window.between(rows, columns, steps, other_steps, window)
    slots = max(found.width, 2 * window + 1 if found.straight and window is not None else 0)
    needed = like.element_size() * steps * slots * (batch + 3)  # the plans, and what is worked on
    there = _memory(like.device)
    if needed > there:
        raise InputError(
            f"{batch} plans of {steps} x {slots} entries need {needed / 1e9:.0f} GB, more than there is "
            f"({there / 1e9:.0f} GB): give a narrower window or a smaller batch"
        )
    return found


def _memory(device: torch.device) -> float:
    """Bytes of this machine or of its graphics card; without end where nobody says."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[1])
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def check_options(mu: float, tol: float, max_sweeps: int, like: Tensor) -> None:
    """Entropy strength and stopping rule."""
    kind = torch.finfo(like.dtype)
    check("mu", mu, ABOVE_0)
    if not kind.tiny <= mu <= kind.max:
        raise InputError(f"mu must lie in {kind.tiny:.0e}..{kind.max:.0e}, which {like.dtype} can hold, found {mu}")
    check("tol", tol, AT_LEAST_0)
    check("max_sweeps", max_sweeps, whole(1))


def check_finite(name: str, value: Tensor, lengths: Tensor, window: masks.Window | None = None) -> None:
    """What is read must be finite: real steps and, of a cost (B, T1, T2), what lies inside the window."""
    if _is_sum_finite(value):  # fast, and nearly always so
        return
    bad = ~value.isfinite() & masks.real_steps(lengths, value.shape[1])[:, :, None]
    if window is not None:
        bad &= window.to_dense(window.open)
    for where in bad.nonzero()[:1].tolist():
        sequence, step, place = where
        at = f"sequence {sequence}, step {step}, " + ("feature" if window is None else "against step") + f" {place}"
        raise InputError(f"{name} must be finite on real steps, found {float(value[tuple(where)])} at {at}")


def _is_sum_finite(value: Tensor) -> bool:
    if value.device.type != "cpu":
        return bool(value.sum().isfinite())
    with np.errstate(all="ignore"):  # by NumPy: torch would wake its threads, which takes longer than the sum
        return bool(np.isfinite(value.detach().numpy().sum()))
