"""Online movie reviews from HDF5: read right, or refused in one line."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import speech
import torch

import mmalign
from mmalign import InputError, registry
from mmalign.data import hdf5
from mmalign.data.fetch import matches
from mmalign.data.published import DIGESTS

COUNTS = {"train": 12, "valid": 4, "test": 5}
WIDTHS = {"audio": 3, "video": 2, "text": 4}
NAMES = {"audio": "audio_{}.h5", "video": "video_{}.h5", "text": "text_{}_emb.h5"}
REAL = os.environ.get("MMALIGN_TEST_DATA")


def put(path, values, key="d1"):
    with h5py.File(path, "w") as file:
        file[key] = values


@pytest.fixture
def folder(tmp_path):
    """Small files in the published form."""
    draw = np.random.default_rng(0)
    here = tmp_path / "ict_mmmo"
    here.mkdir()
    for part, count in COUNTS.items():
        for name, width in WIDTHS.items():
            put(here / NAMES[name].format(part), draw.normal(size=(count, 20, width)))
        put(here / f"y_{part}.h5", np.linspace(1, 5, count))
    return here


def load(folder, **options):
    return mmalign.load("ict-mmmo", data_dir=folder.parent, **options)


def test_parts_features_and_scores_are_those_of_the_files(folder):
    data = load(folder, survival=1.0, setting="B")
    for part, count in COUNTS.items():
        batch = getattr(data, part).batch
        with h5py.File(folder / f"audio_{part}.h5") as audio, h5py.File(folder / f"y_{part}.h5") as scores:
            assert len(batch) == count
            np.testing.assert_array_equal(batch.visible, audio["d1"][()].astype("f4"))
            np.testing.assert_allclose(batch.labels, scores["d1"][()] - 3, atol=1e-6)
    assert (data.train.batch.lengths == 20).all()


def test_only_the_files_of_the_pair_are_needed(folder):
    (folder / "text_train_emb.h5").unlink()
    assert load(folder, pair=("video", "audio")).spec.widths == (2, 3)
    with pytest.raises(InputError, match=r"text_train_emb\.h5 is not there"):
        load(folder, pair=("text", "audio"))


@pytest.mark.slow
def test_a_cut_file_is_refused_wherever_it_is_cut(folder):
    path = folder / "video_valid.h5"
    whole = path.read_bytes()
    for size in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"video_valid\.h5") as caught:
            load(folder)
        assert "\n" not in str(caught.value)


def spoil(folder, name, change):
    with h5py.File(folder / name) as file:
        values = file["d1"][()]
    put(folder / name, change(values))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("audio_test.h5", lambda a: np.where(np.arange(20)[:, None] == 7, np.nan, a), "sample 0, step 7"),
        ("audio_test.h5", lambda a: np.where(a == a[2, 3, 1], np.inf, a), "sample 2, step 3"),
        ("video_valid.h5", lambda a: a[:, :10], "same number of steps"),
        ("video_train.h5", lambda a: a[:-1], "video holds 11 samples, labels 12"),
        ("video_train.h5", lambda a: a[:, :, :1], r"video has \[1, 2, 2\] features"),
        ("video_train.h5", lambda a: a[:, 0], r"\(N, T, D\)"),
        ("video_train.h5", lambda a: a.astype("S8"), "must hold numbers"),
        ("y_train.h5", lambda y: y + 1, "scores from 1 to 5"),
        ("y_train.h5", lambda y: y * np.nan, "scores from 1 to 5"),
        ("y_train.h5", lambda y: y[:, None], "scores from 1 to 5"),
    ],
)
def test_spoilt_values_are_refused_and_the_place_is_named(folder, name, change, says):
    spoil(folder, name, change)
    with pytest.raises(InputError, match=says):
        load(folder)


def test_a_file_with_another_key_is_refused(folder):
    put(folder / "y_test.h5", np.ones(5), key="data")
    with pytest.raises(InputError, match=r"y_test\.h5 must hold one array 'd1', found data"):
        load(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"audio_train\.h5 is not there; --data-dir must hold the folder ict_mmmo"):
        mmalign.load("ict-mmmo", data_dir=tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["pom", "youtube", "mosi"])
def test_padding_at_either_end_is_taken_away(tmp_path, name):
    edges = speech.published(tmp_path, name)
    source = hdf5.read(name, tmp_path, ("text", "audio"))
    lengths = [20 - front - back for part in speech.COUNTS for front, back in zip(*edges[part], strict=True)]
    assert source.lengths.tolist() == lengths
    key, file = ("data", "X_train.h5") if name == "mosi" else ("d1", "audio_train.h5")
    with h5py.File(tmp_path / file) as held:
        values = held[key][()][..., 300:305] if name == "mosi" else held[key][()]
    front, _ = edges["train"]
    for place in range(speech.COUNTS["train"]):
        expected = values[place, front[place] : front[place] + lengths[place]].astype("f4")
        found = source.features["audio"][torch.tensor([place])][0, : lengths[place]]
        np.testing.assert_array_equal(found, expected)


def test_reviews_of_ict_mmmo_are_read_whole_silence_and_all(tmp_path):
    speech.published(tmp_path, "ict-mmmo")
    source = hdf5.read("ict-mmmo", tmp_path, ("audio", "video"))
    assert (source.lengths == 20).all()
    with h5py.File(tmp_path / "audio_train.h5") as held:
        found = source.features["audio"][torch.arange(speech.COUNTS["train"])]
        np.testing.assert_array_equal(found, held["d1"][()].astype("f4"))


@pytest.mark.slow
def test_labels_are_what_each_data_set_means_by_them(tmp_path):
    for name in ("pom", "youtube", "mosi"):
        speech.published(tmp_path / name, name)
    scores = [h5py.File(tmp_path / f"pom/y_{part}.h5")["d1"][()] for part in speech.COUNTS]
    pom = hdf5.read("pom", tmp_path / "pom", ("audio", "video"))
    np.testing.assert_allclose(pom.labels, np.concatenate(scores)[:, 14] - 4, rtol=1e-6)
    youtube = hdf5.read("youtube", tmp_path / "youtube", ("audio", "video"))
    assert youtube.task == "classification" and youtube.labels[:9].tolist() == [0, 1, 2] * 3
    mosi = hdf5.read("mosi", tmp_path / "mosi", ("text", "video", "audio"))
    assert [values.shape[2] for values in mosi.features.values()] == [300, 20, 5]
    speech.put(tmp_path / "youtube/y_test.h5", np.ones((5, 3)))
    with pytest.raises(InputError, match="one 1 and zeros for each sample"):
        hdf5.read("youtube", tmp_path / "youtube", ("audio", "video"))


def test_columns_of_mosi_that_are_not_where_they_should_be_are_refused(tmp_path):
    speech.published(tmp_path, "mosi")
    for change in (lambda values: values[:, :, :-1], lambda values: values[:, :, ::-1] * 9):
        with h5py.File(tmp_path / "X_test.h5") as file:
            values = file["data"][()]
        speech.put(tmp_path / "X_test.h5", change(values), "data")
        with pytest.raises(InputError, match=r"X_test\.h5 must hold word vectors in columns 0-299"):
            hdf5.read("mosi", tmp_path, ("text", "audio"))
        speech.published(tmp_path, "mosi")


def test_a_check_reads_all_that_is_there_and_the_usual_pair_at_least(folder):
    entry = registry.DATASETS["ict-mmmo"]
    assert {*entry.to_check(folder, entry.pair)} == {"text", "video", "audio"}
    (folder / "text_train_emb.h5").unlink()
    assert {*entry.to_check(folder, entry.pair)} == {"video", "audio"}
    (folder / "video_train.h5").unlink()
    assert {*entry.to_check(folder, entry.pair)} == {"video", "audio"}


@pytest.mark.skipif(not REAL, reason="MMALIGN_TEST_DATA names no folder with the published files")
def test_the_published_files_have_the_hashes_that_we_know():
    here = [path for path in Path(REAL or "").joinpath("ict_mmmo").iterdir() if path.name in DIGESTS["ict-mmmo"]]
    assert len(here) >= 11 and all(matches(path, DIGESTS["ict-mmmo"][path.name]) for path in here)


@pytest.mark.skipif(not REAL, reason="MMALIGN_TEST_DATA names no folder with the published files")
def test_the_published_files_are_read():
    data = mmalign.load("ict-mmmo", ("audio", "video"), survival=0.5, data_dir=Path(REAL or ""))
    assert [len(part) for part in (data.train, data.valid, data.test)] == [220, 40, 80]
    assert data.spec.widths == (74, 36) and data.train.batch.visible.shape[1] == 20
    assert (data.source.lengths == 20).all()  # silent steps at the ends are kept
    assert -2 <= data.train.batch.labels.min() < 0 < data.train.batch.labels.max() <= 2
    assert len(data.train.complete) == 110
