"""Our own form: what was read is what is kept, whole, checked, and preferred to the files it came from."""

import json
import os

import h5py
import numpy as np
import pytest
import speech
import torch

import mmalign
from mmalign import InputError, registry
from mmalign.data import folders, imported

FORMS = {"words": "mosi", "padded": "mosei", "meld": "meld", "ict-mmmo": "ict-mmmo", "pom": "pom", "hdf5": "mosi"}


def write_form(form, place):
    """Files of a form; returns what to import."""
    if form == "words":
        speech.mm_align(place)
    elif form == "padded":
        speech.mult(place / "data.pkl")
        return place / "data.pkl"
    elif form == "meld":
        speech.meld(place)
    else:
        speech.published(place, "mosi" if form == "hdf5" else form)
    return place


@pytest.fixture
def folder(tmp_path):
    """A data folder with an imported CMU-MOSI in it."""
    speech.mm_align(tmp_path / "raw")
    folders.bring_in("mosi", tmp_path / "raw", tmp_path / "mosi")
    return tmp_path


@pytest.mark.parametrize("form", FORMS)
def test_what_comes_out_is_what_went_in(tmp_path, form):
    name = FORMS[form]
    path, source = folders.bring_in(name, write_form(form, tmp_path / "raw"), tmp_path / "out")
    again = imported.read(name, path, tuple(source.features))
    everything = torch.arange(18)
    assert again.digest == source.digest and again.about == source.about and again.classes == source.classes
    assert torch.equal(again.parts, source.parts)
    for modality, values in source.features.items():
        assert torch.equal(again.features[modality][everything], values[everything])
    assert again.describe() == source.describe()


def test_the_manifest_says_what_is_there_and_where_it_came_from(folder):
    with h5py.File(folder / "mosi/imported.h5") as file:
        manifest = json.loads(file.attrs["manifest"])
        assert all(file[key].compression == "lzf" for key in manifest["arrays"])
        assert all([*file[key].shape] == entry["shape"] for key, entry in manifest["arrays"].items())
    assert manifest["samples"] == speech.COUNTS and manifest["source"]["form"] == "pickles of MM-Align and BBFN"
    assert {*manifest["source"]["files"]} == {"train.pkl", "dev.pkl", "test.pkl", "embedding_and_mapping.pt"}
    assert all(len(entry["sha256"]) == 64 for entry in manifest["arrays"].values())


@pytest.mark.slow
def test_every_ordered_pair_and_triple_trains_from_it(folder):
    for pair in (("text", "video"), ("video", "text"), ("audio", "text"), ("video", "audio")):
        data = mmalign.load("mosi", pair, survival=0.5, data_dir=folder)
        assert data.spec.widths == tuple(speech.WIDTHS[name] for name in pair)
        assert [len(part) for part in (data.train, data.valid, data.test)] == [9, 4, 5]
        model = mmalign.MMAlign.from_data(data, mmalign.MMAlignConfig(width=8, warmup=0))
        mmalign.fit(model, data, mmalign.TrainConfig(epochs=1), progress=False)
    data = mmalign.load("mosi", ("text", "video", "audio"), survival=0.5, setting="R", data_dir=folder)
    assert len(data.spec.widths) == 3


def test_the_imported_form_is_preferred_to_published_files(folder):
    speech.published(folder / "mosi", "mosi")
    assert registry.read("mosi", ("text", "audio"), folder).features["text"].shape[2] == speech.WIDTHS["text"]
    (folder / "mosi/imported.h5").unlink()
    assert registry.read("mosi", ("text", "audio"), folder).features["text"].shape[2] == 300


def test_a_data_set_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match="mmalign data import mosei PATH"):
        mmalign.load("mosei", data_dir=tmp_path)
    for name in ("mars", "smartwatch", "arrays"):
        with pytest.raises(InputError, match="unknown dataset to import"):
            folders.bring_in(name, tmp_path, tmp_path)
    with pytest.raises(InputError, match="is not there"):
        folders.bring_in("mosi", tmp_path / "nowhere", tmp_path)
    for name in ("mosi", "mosei"):
        with pytest.raises(InputError, match=rf"holds no known form of {name}.*train\.pkl, dev\.pkl"):
            folders.bring_in(name, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_import_that_fails_leaves_what_was_there(folder, tmp_path, monkeypatch):
    before = (folder / "mosi/imported.h5").read_bytes()
    (tmp_path / "raw/test.pkl").write_bytes(b"broken")
    with pytest.raises(InputError):
        folders.bring_in("mosi", tmp_path / "raw", tmp_path / "mosi")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    speech.mm_align(tmp_path / "raw")
    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        folders.bring_in("mosi", tmp_path / "raw", tmp_path / "mosi")
    assert [path.name for path in (folder / "mosi").iterdir()] == ["imported.h5"]
    assert (folder / "mosi/imported.h5").read_bytes() == before


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    speech.mm_align(tmp_path / "raw")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot write"):
        folders.bring_in("mosi", tmp_path / "raw", tmp_path / "taken")


def respell(path, change):
    """Change the manifest of a file."""
    with h5py.File(path, "a") as file:
        manifest = json.loads(file.attrs["manifest"])
        change(manifest)
        file.attrs["manifest"] = json.dumps(manifest)


def replace(path, key, values, honest=True):
    """Put another array into a file; honest: the manifest knows its hash."""
    with h5py.File(path, "a") as file:
        del file[key]
        file[key] = values
    if honest:
        respell(path, lambda manifest: manifest["arrays"][key].update(sha256=imported._digest(values)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda at: respell(at, lambda m: m.update(form=2)), "of form 2, this version reads form 1"),
        (lambda at: respell(at, lambda m: m.update(name="mosei")), "holds mosei, not mosi"),
        (lambda at: respell(at, lambda m: m.pop("about")), "no manifest of ours"),
        (lambda at: respell(at, lambda m: m.update(notes=[3])), "must be text"),
        (lambda at: respell(at, lambda m: m["arrays"].pop("labels")), "has no array 'labels'"),
        (lambda at: respell(at, lambda m: m["arrays"].pop("features/text")), "unknown modality of"),
        (lambda at: replace(at, "labels", np.zeros(18, "f4"), honest=False), "'labels' is not what was imported"),
        (lambda at: replace(at, "labels", np.full(18, np.nan, "f4")), "labels must be finite"),
        (lambda at: replace(at, "labels", np.zeros(17, "f4")), r"must have shape \(N,\)"),
        (lambda at: replace(at, "lengths", np.zeros(18, int)), "at least 1, found from 0"),
        (lambda at: replace(at, "lengths", np.ones(18, int) * -5), "at least 1, found from -5"),
        (lambda at: replace(at, "lengths", np.ones(18, int)), r"audio has \d+ steps, lengths 18"),
        (lambda at: replace(at, "parts", np.zeros(18, "u1")), "parts must be 0, 1 and 2"),
        (lambda at: replace(at, "features/audio", np.zeros(9, "f4")), "audio must be finite float32"),
        (lambda at: replace(at, "features/audio", np.full((61, 2), np.nan, "f4")), "audio must be finite float32"),
        (lambda at: replace(at, "features/text", np.full(61, 99, "i4")), "text must be rows of a table of 13"),
    ],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(folder, spoil, says):
    path = folder / "mosi/imported.h5"
    spoil(path)
    with pytest.raises(InputError, match=says) as caught:
        mmalign.load("mosi", ("audio", "text"), data_dir=folder)
    assert "\n" not in str(caught.value) and "imported.h5" in str(caught.value)


def test_numbers_that_lie_elsewhere_are_refused(folder):
    """An HDF5 file can point into others, at a device without end even."""
    path = folder / "mosi/imported.h5"
    for make in (
        lambda file: file.__setitem__("labels", h5py.ExternalLink("other.h5", "d1")),
        lambda file: file.__setitem__("labels", h5py.SoftLink("/lengths")),
        lambda file: file.create_dataset("labels", (18,), "f4", external=[(os.devnull, 0, 72)]),
    ):
        with h5py.File(path, "a") as file:
            del file["labels"]
            make(file)
        with pytest.raises(InputError, match="labels"):
            mmalign.load("mosi", data_dir=folder)


def test_a_file_of_another_kind_has_no_manifest(folder):
    speech.put(folder / "mosi/imported.h5", np.zeros(3))
    with pytest.raises(InputError, match="has no manifest of ours"):
        mmalign.load("mosi", data_dir=folder)
