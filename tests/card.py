"""A device that is none: its tensors lie in the CPU's memory, and refuse to meet those of the CPU.

Whatever works on it follows its inputs from device to device, so it stands in for a graphics card where there is none.
It has the CPU's numbers, not CUDA's kernels, and comes in by an experimental door of PyTorch (2.9 or later).
"""

from functools import partial

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

try:
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as _set_up
except ImportError:  # an older PyTorch
    _set_up = None

NAME = "card"
MAY_MEET = ("copy_", "_to_copy", "_pack_padded_sequence")  # the sizes of packed batches stay on the CPU


class OnCard(Tensor):
    """A tensor of the device; `raw` holds its numbers."""

    @staticmethod
    def __new__(cls, raw: Tensor) -> "OnCard":
        about = {"dtype": raw.dtype, "storage_offset": raw.storage_offset(), "device": f"{NAME}:0"}
        made = Tensor._make_wrapper_subclass(cls, raw.shape, raw.stride(), **about)
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, operator, types, given=(), options=None):
        return call(operator, *given, **(options or {}))

    def __getitem__(self, where: object) -> Tensor:
        """Places in a list: PyTorch's own indexing cannot bring them to such a device."""
        parts = where if isinstance(where, tuple) else (where,)
        lists = (list, tuple)
        parts = [torch.tensor(one).to(self.device) if isinstance(one, lists) else one for one in parts]
        return super().__getitem__(tuple(parts))

    def tolist(self) -> list:
        """PyTorch's own refuses subclasses."""
        return self.cpu().tolist()

    def numpy(self, **options: object) -> None:
        """As on CUDA: NumPy reads the CPU's memory only."""
        raise TypeError(f"a tensor on {NAME} is no array: .cpu() first")


def call(operator, *given, **options):
    """An operator of PyTorch on tensors of the device, or asked to make some there."""
    name = operator._schema.name.removeprefix("aten::")
    leaves = [one for one in tree_leaves((given, options)) if isinstance(one, Tensor)]
    for one in leaves:
        if name not in MAY_MEET and not isinstance(one, OnCard) and one.dim() > 0:
            raise RuntimeError(f"{name} found tensors on {NAME} and on {one.device}")
    wanted = options.get("device")
    if wanted is not None:
        options = {**options, "device": torch.device("cpu")}
    found = OWN.get(name, operator)(*tree_map(_raw, given), **tree_map(_raw, options))
    if name == "_pack_padded_sequence":
        return OnCard(found[0]), found[1]
    if wanted is not None and torch.device(wanted).type != NAME:
        return found
    changed = {id(one.raw): _as_its_raw(one) for one in leaves if isinstance(one, OnCard)}
    return tree_map(lambda one: changed[id(one)] if id(one) in changed else _wrapped(one), found)


def _raw(value):
    return value.raw if isinstance(value, OnCard) else value


def _wrapped(value):
    return OnCard(value) if isinstance(value, Tensor) else value


def _as_its_raw(one: OnCard) -> OnCard:
    """The same; its shape follows where the numbers' has changed in place."""
    if (one.shape, one.stride()) != (one.raw.shape, one.raw.stride()):
        python = torch._C.DispatchKeySet(torch._C.DispatchKey.Python)
        with torch._C._ExcludeDispatchKeyGuard(
            python | torch._C.DispatchKeySet(torch._C.DispatchKey.PythonTLSSnapshot)
        ):
            torch.ops.aten.as_strided_(one, one.raw.shape, one.raw.stride(), one.raw.storage_offset())
    return one


def _gru_cell(into, within, old, bias=None, other_bias=None):
    """PyTorch's fused one is not for the CPU. Gates (B, 3H), states (B, H)."""
    if bias is not None:
        into, within = into + bias, within + other_bias
    (reset, update, new), (reset_too, update_too, recall) = into.chunk(3, 1), within.chunk(3, 1)
    reset, update = (reset + reset_too).sigmoid(), (update + update_too).sigmoid()
    new = (new + reset * recall).tanh()
    return new + update * (old - new), torch.cat([reset, update, new, old, recall], 1)


def _gru_cell_backward(upstream, kept, has_bias):
    reset, update, new, old, recall = kept.chunk(5, 1)
    by_update = upstream * (old - new) * update * (1 - update)
    by_new = upstream * (1 - update) * (1 - new * new)
    by_reset = by_new * recall * reset * (1 - reset)
    into, within = torch.cat([by_reset, by_update, by_new], 1), torch.cat([by_reset, by_update, by_new * reset], 1)
    return into, within, upstream * update, into.sum(0) if has_bias else None, within.sum(0) if has_bias else None


OWN = {"_thnn_fused_gru_cell": _gru_cell, "_thnn_fused_gru_cell_backward": _gru_cell_backward}


class _Module:
    """What `torch.card` is: other tests of the same process ask every device there is for its random numbers."""

    is_initialized = is_available = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: 1)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)  # it has none of its own: the CPU draws for it
    get_rng_state = staticmethod(lambda device=0: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, device=0: None)


def plug_in() -> str | None:
    """The name of the device, from now on known to this process; None where this PyTorch has no such door."""
    if _set_up is None:
        return None
    if torch._C._get_privateuse1_backend_name() != NAME:
        _set_up(NAME, _Module())
        everything, made = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
        everything.fallback(call, "PrivateUse1")
        for packet in (torch.ops.aten.arange, torch.ops.aten.randperm, torch.ops.aten.eye):  # PyTorch's own grow
            for operator in (getattr(packet, kind) for kind in packet.overloads() if not kind.endswith("out")):
                made.impl(operator, partial(call, operator), "PrivateUse1")
        plug_in.kept = everything, made  # they undo themselves when they go
    return f"{NAME}:0"
