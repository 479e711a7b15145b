"""What all systems share: random numbers, files, the two paths of a prediction."""

import json
import pickle

import numpy as np
import pytest
import small
import torch
from safetensors.torch import load_file, save_file

import mmalign
from mmalign import Copy, InputError, Single
from mmalign.system import by_presence, read_saved, seeded


def test_seeded_numbers_repeat_and_leave_those_outside_alone():
    before = torch.get_rng_state()
    found = []
    for seed in (3, 3, 4):
        with seeded(seed):
            found.append(torch.rand(2).tolist())
    assert found[0] == found[1] != found[2] and torch.get_rng_state().equal(before)


@pytest.mark.parametrize("presence", [[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]])
def test_each_sample_takes_the_path_it_has_the_data_for_and_answers_stay_in_order(presence):
    batch = small.planted().train.batch.rows(torch.arange(4))
    batch.present[:, 1] = torch.tensor(presence, dtype=torch.bool)

    def complete(some):
        assert some.complete.all()
        return some.ids.float()

    def missing(some):
        assert not some.complete.any()
        return -some.ids.float() - 0.5

    expected = torch.where(batch.present[:, 1], batch.ids.float(), -batch.ids.float() - 0.5)
    assert by_presence(batch, complete, missing).equal(expected)


# ---- files -------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    small.build("copy", small.planted()).save(path)
    return path


def test_a_setting_of_numpy_is_saved_like_any_other(tmp_path):
    small.build("copy", small.planted(), width=np.int64(8), dropout=np.float32(0.5)).save(tmp_path / "model")
    assert Copy.restore(tmp_path / "model").config == small.build("copy", small.planted(), width=8, dropout=0.5).config


def test_a_file_of_another_system_is_refused_by_name(saved):
    with pytest.raises(InputError, match="holds Copy, expected Single"):
        Single.restore(saved)


def test_a_missing_a_cut_and_a_foreign_file_are_refused_in_one_line(saved, tmp_path):
    cut, foreign, alien = (tmp_path / name for name in ("cut", "foreign", "alien"))
    cut.write_bytes(saved.read_bytes()[:-10])
    foreign.write_bytes(b"hello")
    save_file({"weight": torch.zeros(1)}, alien)
    for path in (cut, foreign, alien, tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError) as caught:
            Copy.restore(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("about", ["{}", "[]", '{"system": "Copy"}', '{"system": "Copy", "spec": 3, "config": {}}'])
def test_a_file_that_says_too_little_of_itself_is_refused(saved, about):
    save_file(load_file(saved), saved, {"mmalign": about})
    with pytest.raises(InputError, match=r"model\.safetensors"):
        Copy.restore(saved)


def test_a_file_that_lacks_a_weight_is_refused(saved):
    from safetensors import safe_open

    with safe_open(saved, "pt") as file:
        about = file.metadata()
    weights = load_file(saved)
    weights.popitem()
    save_file(weights, saved, about)
    with pytest.raises(InputError, match="does not fit Copy"):
        Copy.restore(saved)


def test_a_pickle_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("canary").touch, ())

    (tmp_path / "model").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        Copy.restore(tmp_path / "model")
    assert not (tmp_path / "canary").exists()


def test_a_restored_model_predicts_and_does_not_train(saved):
    assert not Copy.restore(saved).training


def test_a_system_of_two_modalities_refuses_a_third_and_a_visible_one_that_may_be_absent():
    for options, says in (
        ({"pair": ("first", "second", "third")}, "takes 2 modalities, found 3"),
        ({"setting": "R"}, "setting R"),
    ):
        data = mmalign.load("planted", survival=0.5, samples=60, **options)
        with pytest.raises(InputError, match=says):
            mmalign.MMAlign.from_data(data)


def test_a_file_of_the_first_release_which_named_no_classes_and_had_idle_settings_still_comes_back(tmp_path):
    data = small.planted()
    model = mmalign.MMAlignPlus.from_data(data)
    model.save(tmp_path / "new.safetensors")
    about, tensors = read_saved(tmp_path / "new.safetensors")
    del about["spec"]["class_names"]
    about["config"] |= {"ot_positions": "steps", "merged_loop": True}  # which mm-align-plus never read
    save_file(tensors, tmp_path / "old.safetensors", {"mmalign": json.dumps(about)})
    restored = mmalign.MMAlignPlus.restore(tmp_path / "old.safetensors")
    assert restored.predict(data.test.batch).equal(model.eval().predict(data.test.batch))
    about["spec"]["class_names"] = []
    save_file(tensors, tmp_path / "strange.safetensors", {"mmalign": json.dumps(about)})
    with pytest.raises(InputError, match="ot_positions"):
        mmalign.MMAlignPlus.restore(tmp_path / "strange.safetensors")
