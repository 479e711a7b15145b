"""A training that is cut after any epoch, and goes on, ends with the bits of one that never stopped."""

import copy
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import small
import torch
from safetensors.torch import save_file

import mmalign
from mmalign import InputError, checkpoint
from mmalign.gate.tensors import read_tensors
from mmalign.registry import SYSTEMS


class Cut(Exception):
    """What stands for the power failure."""


def cut_after(monkeypatch, writes):
    """Let the training die right after it has written its state so many times."""
    write, left = checkpoint.write, [writes]

    def dying(*arguments):
        write(*arguments)
        left[0] -= 1
        if left[0] == 0:
            raise Cut

    monkeypatch.setattr(checkpoint, "write", dying)


def parts(name, **options):
    data = small.data_for(name, survival=0.5, **options)
    warmup = small.build(name, data).warmup
    return data, small.build(name, data), SYSTEMS[name].configure_training(epochs=warmup + 4, select="validation")


@pytest.mark.slow
@pytest.mark.parametrize("name", small.NAMES)
@pytest.mark.parametrize("writes", [1, 3])
def test_every_system_goes_on_where_it_was_cut(name, writes, tmp_path, monkeypatch):
    data, whole, config = parts(name)
    undisturbed = mmalign.fit(whole, data, config, progress=False)
    file = tmp_path / "state.safetensors"
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_after(patch, writes)
        mmalign.fit(small.build(name, data), data, config, progress=False, checkpoint=file)
    torch.manual_seed(99)  # a new process knows nothing of the old one
    again = small.build(name, data)
    history = mmalign.fit(again, data, config, progress=False, checkpoint=file)
    assert small.same_weights(whole.state_dict(), again.state_dict())
    found, wanted = (one.column("valid_loss")[-4:] for one in (history, undisturbed))
    np.testing.assert_array_equal(found, wanted)  # NaN where an epoch is not validated
    assert (history.best_epoch, history.steps) == (undisturbed.best_epoch, undisturbed.steps)


def test_a_training_that_had_ended_does_not_go_on(tmp_path):
    data, model, _ = parts("copy")
    config = mmalign.TrainConfig(epochs=30, patience=1, lr=0.1)
    file = tmp_path / "state.safetensors"
    first = mmalign.fit(model, data, config, progress=False, checkpoint=file)
    again = mmalign.fit(small.build("copy", data), data, config, progress=False, checkpoint=file)
    assert len(first.rows) < 30 and again.rows == first.rows


@pytest.mark.parametrize("spoil", [lambda bytes_: b"", lambda bytes_: bytes_[:100], lambda bytes_: b"x" + bytes_[1:]])
def test_a_broken_state_is_refused_in_one_line(spoil, tmp_path):
    data, model, config = parts("copy")
    file = tmp_path / "state.safetensors"
    mmalign.fit(model, data, config, progress=False, checkpoint=file)
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(InputError, match="not the state of a training") as error:
        mmalign.fit(small.build("copy", data), data, config, progress=False, checkpoint=file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_folder_or_a_pipe_as_state_is_refused_and_not_waited_for(make, tmp_path):
    data, model, config = parts("copy")
    make(tmp_path / "state.safetensors")
    with pytest.raises(InputError, match=r"a plain file was expected, found a (folder|pipe)"):
        mmalign.fit(model, data, config, progress=False, checkpoint=tmp_path / "state.safetensors")


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """What a training leaves: (what it says of itself, its tensors)."""
    data, model, config = parts("copy")
    file = tmp_path_factory.mktemp("state") / "state.safetensors"
    mmalign.fit(model, data, config, progress=False, checkpoint=file)
    return read_tensors(file, "the state of a training")


def first(prefix, tensors, end=""):
    return next(name for name in tensors if name.startswith(prefix) and name.endswith(end))


def reshaped(prefix, end=""):
    def spoil(told, tensors):
        name = first(prefix, tensors, end)
        tensors[name] = torch.zeros(3, 1, 2)

    return spoil


def best_row(told):
    history = told["progress"]["history"]
    return history["rows"][history["best_epoch"]]


MALFORMED = {
    "weights of another shape": reshaped("system/"),
    "best weights of another shape": reshaped("best/"),
    "a gradient of another shape": reshaped("gradient/"),
    "moments of another shape": reshaped("optimiser/", "exp_avg"),
    "squares of another shape": reshaped("optimiser/", "exp_avg_sq"),
    "a step that is no number": reshaped("optimiser/", "step"),
    "random numbers that are none": reshaped("random/order"),
    "weights of another kind": lambda told, tensors: tensors.update(
        {name: value.double() for name, value in tensors.items() if name.startswith("system/")}
    ),
    "weights that lack one": lambda told, tensors: tensors.pop(first("system/", tensors)),
    "a parameter too many": lambda told, tensors: tensors.update({"optimiser/backbone/9999/exp_avg": torch.zeros(2)}),
    "a group that is none": lambda told, tensors: tensors.update({"optimiser/nobody/0/exp_avg": torch.zeros(2)}),
    "a tensor that nothing has": lambda told, tensors: tensors.update({"more": torch.zeros(2)}),
    "no random numbers": lambda told, tensors: tensors.pop("random/torch"),
    "no progress": lambda told, tensors: told.pop("progress"),
    "a history that is a list": lambda told, tensors: told["progress"].update(history=[]),
    "a row that is none": lambda told, tensors: told["progress"]["history"]["rows"].append({"epoch": "last"}),
    "rows without their order": lambda told, tensors: told["progress"]["history"]["rows"].reverse(),
    "a best that is text": lambda told, tensors: told["progress"].update(best=["0.5"]),
    "a best epoch to come": lambda told, tensors: told["progress"]["history"].update(best_epoch=99),
    "a patience that is true": lambda told, tensors: told["progress"].update(since=True),
    "a row without its seconds": lambda told, tensors: told["progress"]["history"]["rows"][0].pop("seconds"),
    "a best epoch that nobody judged": lambda told, tensors: best_row(told).pop("valid"),  # found by make fuzz
    "a best epoch that was judged by a number": lambda told, tensors: best_row(told).update(valid=0.5),
    "a best epoch without its weights": lambda told, tensors: [
        tensors.pop(name) for name in [*tensors] if name.startswith("best/")
    ],
    "best weights of no epoch": lambda told, tensors: told["progress"]["history"].update(best_epoch=-1),
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED)
def test_a_state_is_checked_whole_before_anything_moves(state, spoil, tmp_path):
    """A tensor of another shape would otherwise be trained on."""
    told, tensors = copy.deepcopy(state[0]), dict(state[1])
    spoil(told, tensors)
    file = tmp_path / "state.safetensors"
    save_file(tensors, file, {"mmalign": json.dumps(told)})
    data, model, config = parts("copy")
    before, random = small.copied(model.parameters()), torch.get_rng_state()
    with pytest.raises(InputError, match="not the state of a training") as error:
        mmalign.fit(model, data, config, progress=False, checkpoint=file)
    assert "\n" not in str(error.value) and torch.get_rng_state().equal(random)
    assert small.same_weights(before, [*model.parameters()])


def test_the_state_of_other_settings_is_refused(tmp_path):
    data, model, config = parts("copy")
    file = tmp_path / "state.safetensors"
    mmalign.fit(model, data, config, progress=False, checkpoint=file)
    with pytest.raises(InputError, match="other settings"):
        mmalign.fit(small.build("copy", data, width=12), data, config, progress=False, checkpoint=file)


@pytest.mark.parametrize("other", ["seed", "learning rate", "split", "labels"])
def test_the_state_of_another_training_is_refused(other, tmp_path):
    data, model, config = parts("copy")
    file = tmp_path / "state.safetensors"
    mmalign.fit(model, data, config, progress=False, checkpoint=file)
    change = {"seed": {"seed": 1}, "learning rate": {"lr": 0.01}}.get(other, {})
    data = {"split": small.data_for("copy", seed=1), "labels": small.data_for("copy", labelled=0.5)}.get(other, data)
    with pytest.raises(InputError, match="other settings, other samples or another seed"):
        again = small.build("copy", data)
        mmalign.fit(again, data, replace(config, **change), progress=False, checkpoint=file)


def test_a_state_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path):
    data, model, config = parts("copy")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        mmalign.fit(model, data, config, progress=False, checkpoint=tmp_path / "file" / "state.safetensors")
