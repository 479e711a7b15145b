"""Data and systems so small that a training takes a fraction of a second."""

from dataclasses import asdict, replace

import pytest
import torch

import mmalign
from mmalign.baselines.constant import InOneGo
from mmalign.data import Split
from mmalign.method.denoising import Imputing
from mmalign.registry import SYSTEMS
from mmalign.settings import settings

NAMES = tuple(SYSTEMS)
IMPUTING = tuple(name for name, entry in SYSTEMS.items() if issubclass(entry.kind, Imputing))
IN_ONE_GO = tuple(name for name, entry in SYSTEMS.items() if issubclass(entry.kind, InOneGo))  # without steps
BLIND = tuple(name for name, entry in SYSTEMS.items() if not entry.kind.needs_every_victim)
TINY = {"width": 8, "fitter_width": 4, "translator_width": 8}
TINY |= {"least": 1}  # samples of a stage
TINY |= {"warmup": 1, "pretrain_epochs": 1, "language_epochs": 1, "av_epochs": 1}


def light(names):
    """Systems as parameters; the one that loads a language model's library is left out of `make fast`."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name == "deepmlf" else []) for name in names]


def planted(survival=0.5, setting="A", seed=0, labelled=1.0, pair=None, **knobs):
    """60 planted samples of 3 to 8 steps: 36 to train, 12 to validate, 12 to test."""
    knobs = {"samples": 60, "shortest": 3, "longest": 8, **knobs}
    return mmalign.load("planted", pair, survival, setting, seed, labelled, **knobs)


def data_for(name, **options):
    """`planted`, with every victim where the system needs them all."""
    whole = {"survival": 1.0, "setting": "B"} if SYSTEMS[name].kind.needs_every_victim else {}
    return planted(**{**options, **whole})


def spoken(task="regression", count=40, steps=12, words=5, seed=0):
    """Texts, one column of word numbers, in which two words tell the next and one tells nothing: each is the sum of
    the two before it."""
    draw = torch.Generator().manual_seed(seed)
    text = torch.randint(words, (count, steps), generator=draw)
    for step in range(2, steps):
        text[:, step] = (text[:, step - 1] + text[:, step - 2]) % words
    sound = torch.randn(count, steps, 2, generator=draw)
    labels = text[:, 0].float() if task == "regression" else text[:, 0] % 3
    return mmalign.from_arrays(text[:, :, None].float(), sound, labels, task=task)


def build(name, data, seed=0, **changes):
    """A system by name, narrow; a warm-up, where there is one, lasts one epoch."""
    entry = SYSTEMS[name]
    usual = asdict(entry.configure())
    tiny = {key: value for key, value in TINY.items() if usual.get(key)}
    config = settings(entry.kind.config_type, {**entry.model, **tiny}, **changes)
    return entry.kind.from_data(data, config, seed=seed)


def train(name, data, seed=0, model=None, **changes):
    """Build and fit: (system, history). The test split stays sealed, whatever the preset says."""
    system = build(name, data, seed, **(model or {}))
    config = SYSTEMS[name].configure_training(**{"epochs": 3, "seed": seed, "select": "validation", **changes})
    return system, mmalign.fit(system, data, config, progress=False)


def refilled(split, value):
    """The same split; what hides the absent victims is `value`, a number or a tensor, and no longer NaN."""
    batch = split.batch
    victim = torch.where(batch.present[:, 1, None, None], batch.victim, torch.as_tensor(value, dtype=torch.float32))
    return Split(replace(batch, features=(batch.visible, victim)))


def same_weights(first, second):
    """Whether two state dicts, or two lists of tensors, agree bit for bit."""
    first, second = (list(one.values()) if isinstance(one, dict) else list(one) for one in (first, second))
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def copied(parameters):
    """What some tensors hold now."""
    return [value.detach().clone() for value in parameters]
