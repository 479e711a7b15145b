"""Names, and the two doors to data."""

import re

import pytest
import torch

import mmalign
from mmalign import InputError, registry
from mmalign.experiments import Experiment

NAMES = {"single", "double", "zero-fill", "copy", "mm-align", "mm-align-official"}


def test_the_contracts_names_are_known():
    assert set(registry.SYSTEMS) >= NAMES
    assert set(registry.DATASETS) >= {"smartwatch", "planted", "ict-mmmo", "arrays"}
    assert registry.DATASETS["smartwatch"].modalities == ("acc", "gyro", "magnitude")
    assert set(registry.DATASETS["ict-mmmo"].modalities) == {"text", "video", "audio"}
    assert all(entry.about and "\n" not in entry.about for entry in registry.SYSTEMS.values())


def test_a_preset_is_the_same_class_with_other_settings():
    ours, theirs = registry.SYSTEMS["mm-align"], registry.SYSTEMS["mm-align-official"]
    assert ours.kind is theirs.kind and ours.configure() == mmalign.MMAlignConfig()
    assert theirs.configure(width=16).solver == "official" and theirs.configure(width=16).width == 16
    assert theirs.configure_training(epochs=5).select == "official" and theirs.configure_training(epochs=5).epochs == 5


def test_data_lie_where_one_says_else_where_the_environment_says_else_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MMALIGN_DATA", raising=False)
    assert registry.data_folder() == tmp_path / "mmalign"
    monkeypatch.setenv("MMALIGN_DATA", "elsewhere")
    assert str(registry.data_folder()) == "elsewhere" and str(registry.data_folder("here")) == "here"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smartwatch", "spelling", "planted"])
def test_embedded_data_load_by_name_alone(name, monkeypatch, tmp_path):
    monkeypatch.setenv("MMALIGN_DATA", str(tmp_path / "nowhere"))
    data = mmalign.load(name)
    assert data.spec.modalities == registry.DATASETS[name].pair and len(data.train) > len(data.valid) > 0


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"name": "mars"}, "unknown dataset 'mars'; known: smartwatch, spelling, planted, ict-mmmo, arrays"),
        (
            {"name": "smartwatch", "pair": ("acc", "magnet")},
            "unknown modality of smartwatch 'magnet'; known: acc, gyro",
        ),
        ({"name": "smartwatch", "pair": ("acc", "acc")}, "two or more different modalities"),
        ({"name": "smartwatch", "speed": 3}, "option of smartwatch"),
        ({"name": "planted", "speed": 3}, "speed"),
        ({"name": "planted", "survival": 2.0}, "survival"),
        ({"name": "planted", "survival": "half"}, "survival"),
        ({"name": "planted", "seed": 1.5}, "seed"),
        ({"name": "planted", "setting": "a"}, "unknown setting 'a'; known: A, B"),
    ],
)
def test_a_bad_request_is_refused_by_its_name(request_, says):
    with pytest.raises(InputError, match=re.escape(says)):
        mmalign.load(**request_)


def test_the_readmes_chain_of_names_works(tmp_path):
    """The contract's Python example, end to end, on arrays of one's own."""
    own = mmalign.from_arrays(torch.randn(40, 6, 3), torch.randn(40, 6, 2), torch.randn(40), seed=1)
    model = mmalign.MMAlign.from_data(own, mmalign.MMAlignConfig(window=4, mu=0.2, width=8, warmup=1))
    history = mmalign.fit(model, own, mmalign.TrainConfig(epochs=2))
    report = mmalign.evaluate(model, own.test)
    assert history.best_epoch == 1 and set(report) == {"mae", "acc2", "f1"}
    assert model.impute(own.test.batch).shape == (8, 7, 8)
    model.save(tmp_path / "model.safetensors")
    assert mmalign.evaluate(mmalign.MMAlign.restore(tmp_path / "model.safetensors"), own.test) == report


SYSTEM = """
import mmalign


class Mine(mmalign.Single):
    def groups(self):
        return {"backbone": [*self.parameters()]}
"""


def test_a_system_of_ones_own_is_named_by_its_place(tmp_path):
    place = f"{tmp_path / 'own.py'}:Mine"
    (tmp_path / "own.py").write_text(SYSTEM)
    entry = registry.system(place)
    assert issubclass(entry.kind, mmalign.Single) and entry.configure(width=16) == mmalign.BoundConfig(width=16)
    assert entry.configure_training() == mmalign.TrainConfig() and len(entry.digest) == 20
    assert mmalign.evaluate(entry.kind.from_data(data := mmalign.load("planted")), data.test)["mae"] > 0


def test_the_systems_of_the_package_are_known_by_their_version_and_not_by_a_digest():
    assert registry.system("single") is registry.SYSTEMS["single"]
    assert {entry.digest for entry in registry.SYSTEMS.values()} == {None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("class Mine:\n    pass\n", "is no mmalign.System"),
        ("Mine = int\n", "is no mmalign.System"),
    ],
)
def test_what_is_no_system_is_refused_when_it_is_used(tmp_path, content, says):
    (tmp_path / "own.py").write_text(content)
    entry = registry.system(f"{tmp_path / 'own.py'}:Mine")
    with pytest.raises(InputError, match=says):
        entry.configure()
    with pytest.raises(InputError, match="unknown system 'mine'; known: single, double"):
        registry.system("mine")


def test_what_the_package_promises_to_export_is_there():
    assert all(hasattr(mmalign, name) for name in mmalign.__all__)
    assert {"load", "fit", "evaluate", "from_arrays", "MMAlign", "MMAlignConfig", "transport"} <= {*mmalign.__all__}


def test_a_draw_that_follows_the_seed_gives_each_seed_samples_of_its_own():
    first, again, other = (mmalign.load("planted", seed=seed, draw="seed", samples=40) for seed in (1, 1, 2))
    assert first.source.digest == again.source.digest != other.source.digest
    assert first.source.digest == mmalign.load("planted", seed=7, draw=1, samples=40).source.digest
    one = Experiment(system="single", dataset="planted", seed=2, data={"draw": "seed", "samples": 40})
    assert one.data["draw"] == 2  # what is stored of a run says which samples they were
