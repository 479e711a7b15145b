"""What a trained system says of new pairs: no labels, no splits, one window is enough."""

import warnings

import numpy as np
import torch
from torch import Tensor

from .batch import UNNAMED, Batch, DataSpec
from .data.pairs import Pairs
from .errors import InputError
from .system import System

AT_ONCE = 256  # pairs in one batch


def predict(system: System, pairs: Pairs) -> np.ndarray:
    """(N,) the class of each pair under the name it had in training, or its score for a regression.

    Args:
        system: what `fit` trained or `restore` read.
        pairs: new pairs of the modalities it was trained on; one is enough.

    Raises:
        ValueError: other modalities or widths than in training, or a side that the system needs is absent.
    """
    answers = outputs(system, pairs)
    if system.spec.task == "regression":
        return answers.numpy()
    names = np.array(system.spec.class_names or range(system.spec.classes))
    return names[answers.argmax(1).numpy()]


def outputs(system: System, pairs: Pairs) -> Tensor:
    """(N,) scores or (N, K) logits of new pairs, on the CPU; as `predict`."""
    device = _ready(system, pairs)
    with torch.inference_mode():
        if len(pairs) <= AT_ONCE:
            return _answer(system, pairs.batch(system.spec.widths), device)
        parts = [pairs[start : start + AT_ONCE] for start in range(0, len(pairs), AT_ONCE)]
        return torch.cat([_answer(system, part.batch(system.spec.widths), device) for part in parts])


def impute(system: System, pairs: Pairs) -> Pairs:
    """The same pairs, in place of each absent victim the one that the system imagines: readings, in their own unit.

    Only some systems imagine what a sensor would have read: `mm-align-plus` and `mfm`. The paper's own imagines hidden
    states (its `impute`), which have no unit.

    Args:
        system: what `fit` trained or `restore` read.
        pairs: new pairs; where a victim is there it stays as it is.

    Raises:
        ValueError: the system imagines no readings; or as `predict`.
    """
    device = _ready(system, pairs)
    if not (hasattr(system, "with_imagined") and getattr(system.config, "imagines", True)):
        kind = type(system).__name__
        raise InputError(f"this {kind} imagines no readings of the victim; mm-align-plus and mfm do")
    victims, absent = pairs.victim, np.flatnonzero(~pairs.present[:, 1].numpy())
    for start in range(0, len(absent), AT_ONCE):
        places = absent[start : start + AT_ONCE]
        batch = pairs[places].batch(system.spec.widths)
        system.check_samples(batch)
        with torch.inference_mode():
            made = system.with_imagined(batch.to(device)).victim.cpu().numpy()
        for place, one, length in zip(places, made, batch.lengths, strict=True):
            victims[place] = one[:length]
    return Pairs(pairs.visible, victims, rates=pairs.rates, names=pairs.names, groups=pairs.groups)


def _ready(system: System, pairs: Pairs) -> torch.device:
    """Where the system is, once it is clear that the pairs are for it."""
    if not isinstance(pairs, Pairs):
        raise InputError(f"Pairs were expected, found {type(pairs).__name__}: mmalign.Pairs(visible, victim)")
    if not len(pairs):
        raise InputError("no pairs were given to answer for")
    _check(system.spec, pairs)
    if system.training:
        system.eval()
    return next(system.parameters()).device


def _answer(system: System, batch: Batch, device: torch.device) -> Tensor:
    system.check_samples(batch)
    if device.type != "cpu":
        batch = batch.to(device)
    _warn_of_scale(system, batch)
    return system.predict(batch).cpu()


def _check(spec: DataSpec, pairs: Pairs) -> None:
    """Whether the pairs are of the kind that `spec` is; a side that is absent everywhere can be of any."""
    widths = tuple(own or built for own, built in zip(pairs.widths, spec.widths, strict=False))
    names = tuple(
        built if name in UNNAMED or not own else name
        for name, own, built in zip(pairs.names, pairs.widths, spec.modalities, strict=False)
    )
    if widths != spec.widths or names != spec.modalities:
        spec.check_features(pairs.names, widths)


def _warn_of_scale(system: System, batch: Batch) -> None:
    """Say so where a feature is nowhere near what it was in training: g and m/s2 have the same shape."""
    network = getattr(system, "backbone", None) or getattr(system, "senses", None)
    for place, embed in enumerate(getattr(network, "embed", ())):
        scale = getattr(embed, "standardise", None)
        if scale is None or not bool(batch.present[:, place].any()):
            continue
        far = scale(batch.features[place], batch.real).abs() >= scale.cut  # (B, T, D), False on padding and NaN
        for feature in (far.sum((0, 1)) > batch.real.sum() / 2).nonzero()[:1, 0].tolist():
            name = system.spec.modalities[place]
            told = f"{scale.cut:g} spreads of the training data or more away at most steps: another unit?"
            warnings.warn(f"feature {feature} of {name} is {told}", stacklevel=5)
