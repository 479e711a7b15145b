"""Tensors from a safetensors file, with what mmalign said of them. Nothing in the file is run."""

import os
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ..errors import InputError, line_of
from ..files import opened
from .documents import from_json

LONGEST = 2**24  # bytes of the header, which is read at once


def read_tensors(path: str | Path, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What the file says of itself under `mmalign`, and its tensors by name.

    Args:
        path: the file.
        what: what it should be, for people: "a model that mmalign saved".

    Raises:
        InputError: it cannot be read or is not that.
    """
    with opened(path) as file:
        size, length = os.fstat(file.fileno()).st_size, int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(LONGEST, size - 8):
        raise InputError(f"{path} is not {what}: its header would have {length} bytes, of {size} in all")
    try:
        with safe_open(str(path), "pt") as file:
            told = from_json((file.metadata() or {}).get("mmalign", "{}"), finite=False)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except Exception as error:  # a broken file can raise anything
        raise InputError(f"{path} is not {what}: {line_of(error)}") from None
    if not isinstance(told, dict):
        raise InputError(f"{path} is not {what}: what it says of itself is a {type(told).__name__}")
    return told, tensors
