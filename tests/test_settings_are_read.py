"""No system has a setting that it never reads, and a setting that would have no effect is refused.

So two runs that compute the same have the same name. A spy on attribute access goes through build, training and
prediction of every system, in its default and in each variation of one setting.
"""

from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign import InputError
from mmalign.experiments import runs
from mmalign.registry import SYSTEMS
from mmalign.settings import described, settings

TOGETHER = {  # what a variation cannot go without
    ("solver", "official"): {"barrier": 100.0},
    ("impute_head", "mixture"): {"ot_positions": "official"},
    ("target_dropout", True): {"encoder_dropout": 0.1},
    ("contrastive", "official"): {"lambda_con": 0.1},
    ("hgm", False): {},
    ("shared_head", False): {"hgm": False},
    ("pooling", "concat"): {"elements": "modality"},
    ("cycle_input", "teacher"): {},
}
QUICK = {"width": 8, "pretrain_epochs": 1, "language_epochs": 1, "av_epochs": 1, "warmup": 1, "least": 1}


def others(setting):
    """Values that a setting may have, other than its default."""
    _, default, rule, _, _ = setting
    if rule is None:
        return []
    if rule.known:
        return [value for value in rule.known if value != default]
    if isinstance(default, bool):
        return [not default]
    start = default or 0
    found = (0.0, 0.1, 2 * start) if isinstance(default, float) else (0, start + 1, start + 2)
    return [value for value in found if value != default and rule.holds(value)]


def variations(kind):
    """The default, and every setting changed alone, as far as it can be."""
    yield {}
    for setting in described(kind):
        for value in others(setting):
            changes = {setting.name: value, **TOGETHER.get((setting.name, value), {})}
            if setting.rule.known or isinstance(value, bool) or value == 0 or setting.default == 0:
                try:
                    settings(kind, {}, **changes)
                except InputError:
                    continue
                yield changes


def spied(config):
    """The same settings, and a set of those that somebody has asked for."""
    seen, names = set(), {one.name for one in described(type(config))}

    class Spied(type(config)):
        def __getattribute__(self, name):
            if name in names:
                seen.add(name)
            return super().__getattribute__(name)

    spy = object.__new__(Spied)
    vars(spy).update(vars(config))
    seen.clear()
    return spy, seen


def read_by(name, config, changed):
    """The settings that a system asks for while it is built, trained and tested on either task."""
    found = set()
    for task in ("regression", "classification"):
        data = small.spoken(task) if changed.get("words") == "ids" else small.data_for(name, samples=40, task=task)
        spy, seen = spied(config)
        model = SYSTEMS[name].kind.from_data(data, spy)
        epochs = model.warmup + 2
        model.preparing(epochs), model.turns(epochs)  # which of its epochs can stay, and for what
        for epoch in (0, epochs - 1):  # a training's two kinds of epoch
            model.prepare(epoch, data.train)
            for stage in model.stages(epoch, epochs):
                for batch in data.train.part(stage.split).batches(16, torch.Generator()):
                    for step in stage.steps:
                        step.loss(batch)
                        model.after_step(step, batch)
        mmalign.evaluate(model, data.test)
        found |= seen
    return found


def test_what_is_fitted_in_one_go_has_one_name_whatever_a_training_might_be():
    for name in small.IN_ONE_GO:
        for setting in described(mmalign.TrainConfig):
            for value in others(setting) if setting.name != "seed" else []:
                train = {setting.name: value, **({"optimiser": "sgd"} if setting.name == "momentum" else {})}
                usual = SYSTEMS[name].train.get(setting.name, setting.default)
                if value == usual:
                    continue
                with pytest.raises(InputError, match=f"would have no effect: {name} is fitted in one go"):
                    runs.run(runs.Experiment(system=name, dataset="planted", train=train))


CASES = [
    pytest.param(
        name,
        changes,
        id=f"{name} {' '.join(f'{key}={value}' for key, value in changes.items())}",
        marks=[pytest.mark.slow] if changes or name == "deepmlf" else [],
    )
    for name, entry in SYSTEMS.items()
    if name != "mm-align-official"
    for changes in variations(entry.kind.config_type)
]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_every_setting_is_read_or_refused(name, changes):
    kind = SYSTEMS[name].kind.config_type
    quick = {key: value for key, value in QUICK.items() if getattr(settings(kind, {}, **changes), key, 0)}
    config = settings(kind, quick, **changes)
    read = read_by(name, config, changes)
    for setting in described(kind):
        if setting.name not in read:
            assert others(setting), f"{setting.name} is never read, and anything goes"
            now = getattr(config, setting.name)
            for value in {*others(setting), setting.default} - {now}:
                with pytest.raises(InputError):
                    replace(config, **{setting.name: value})
