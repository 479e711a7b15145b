"""The pickles of CMU-MOSI, CMU-MOSEI and MELD in their public forms, read right or refused in one line."""

import numpy as np
import pytest
import speech
import torch

from mmalign import InputError
from mmalign.data import cmu, folders, meld
from mmalign.data.speech import SPEECH

PARTS = tuple(speech.COUNTS)


def place_of(part):
    """Where the samples of a part begin in a source."""
    return sum(speech.COUNTS[name] for name in PARTS[: PARTS.index(part)])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("columns", [1, 7])
def test_the_word_by_word_form_is_read_word_by_word(tmp_path, columns, protocol):
    content, table = speech.mm_align(tmp_path, columns, protocol=protocol)
    source = cmu.read_words("mosi", tmp_path)
    for part in PARTS:
        for place, ((ids, visual, acoustic, _), label, _) in enumerate(content[part]):
            at = torch.tensor([place_of(part) + place])
            length = int(source.lengths[at])
            assert length == len(ids) and source.labels[at].item() == label[0, 0]
            for name, expected in (("text", table[ids]), ("video", visual), ("audio", acoustic)):
                found = source.features[name][at][0, :length]
                np.testing.assert_allclose(found, np.asarray(expected, "f4"))
    assert source.parts.tolist() == [0] * 9 + [1] * 4 + [2] * 5
    assert (source.labels == 0).sum() == 3, "labels of exactly 0 are kept"


def test_a_sample_without_words_keeps_one_step_of_zeros_and_is_counted(tmp_path):
    content, _ = speech.mm_align(tmp_path)
    nothing = np.asarray([])
    content["valid"][2] = ((nothing, nothing, nothing, []), *content["valid"][2][1:])
    speech.dump(tmp_path / "dev.pkl", content["valid"])
    source = cmu.read_words("mosi", tmp_path)
    at = torch.tensor([place_of("valid") + 2])
    assert len(source.labels) == 18 and source.lengths[at] == 1
    assert not any(values[at].any() for values in source.features.values())
    assert source.notes == ("1 samples without a step keep one of zeros",)


@pytest.mark.parametrize("protocol", [2, 4])
def test_meld_is_read_as_seven_emotions(tmp_path, protocol):
    content = speech.meld(tmp_path, protocol)
    source = meld.read("meld", tmp_path)
    assert source.task == "classification" and len(source.classes) == 7
    for place, sample in enumerate(content["test"]):
        at = torch.tensor([place_of("test") + place])
        length = len(sample["token_ids"])
        assert (int(source.lengths[at]), int(source.labels[at])) == (length, sample["label"])
        found = source.features["audio"][at][0, :length]
        np.testing.assert_array_equal(found, sample["audio_features"].astype("f4"))


@pytest.mark.slow
def test_sequences_longer_than_asked_for_are_cut_and_counted(tmp_path):
    speech.mm_align(tmp_path / "raw", lengths=(3, 1, 60))
    folders.bring_in("mosei", tmp_path / "raw", tmp_path / "mosei")
    short = folders.read("mosei", tmp_path / "mosei", ("text", "audio"))
    assert int(short.lengths.max()) == 50 and short.features["text"].shape[1] == 50
    assert short.notes == ("5 sequences cut to their first 50 steps",)
    whole = folders.read("mosei", tmp_path / "mosei", ("text", "audio"), longest=100)
    everything = torch.arange(18)
    assert int(whole.lengths.max()) == 60 and not whole.notes and whole.digest != short.digest
    assert torch.equal(whole.features["audio"][everything][:, :50], short.features["audio"][everything])
    with pytest.raises(InputError, match="longest"):
        folders.read("mosei", tmp_path / "mosei", ("text", "audio"), longest=0)


def respoken(change, part="train"):
    """Spoil the samples of one of the word-by-word pickles."""

    def spoil(folder):
        content, _ = speech.mm_align(folder)
        speech.dump(folder / speech.PICKLES[part], change(content[part]))

    return spoil


def first(**changes):
    """The samples, the first of them with another text, video, audio or label."""

    def change(samples):
        (ids, visual, acoustic, words), label, segment = samples[0]
        old = {"text": ids, "video": visual, "audio": acoustic, "label": label}
        new = {name: changes[name](value) if name in changes else value for name, value in old.items()}
        return [((new["text"], new["video"], new["audio"], words), new["label"], segment), *samples[1:]]

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda samples: {}, "must hold a list of samples, found a dict"),
        (lambda samples: [], "must hold a list of samples"),
        (lambda samples: [*samples, 7], "sample 9 must be"),
        (lambda samples: [*samples, samples[0][:2]], "sample 9 must be"),
        (first(video=lambda a: a[:-1]), "sample 0: video has 2 steps, text 3"),
        (first(audio=lambda a: a[:, :1]), "audio must have the same features at every step, found \\[1, 2\\]"),
        (first(audio=lambda a: a.astype("S5")), "audio must be numbers"),
        (first(audio=lambda a: "loud"), "audio must be numbers of shape \\(steps, features\\), found str"),
        (first(video=lambda a: a * np.nan), "video must be finite, found NaN or infinity at sample 0, step 0"),
        (first(text=lambda a: a + 0.5), "text must be a row of whole numbers"),
        (first(text=lambda a: a + 1000), "words must be rows of a table of 12"),
        (first(text=lambda a: a - 1000), "words must be rows of a table of 12"),
        (first(text=lambda a: a[:, None]), "text must be a row"),
        (first(label=lambda a: a + np.nan), "scores from -3 to 3"),
        (first(label=lambda a: a + 9), "scores from -3 to 3"),
        (first(label=lambda a: np.zeros((1, 7))), "sample 1: label must be a number like the others"),
        (first(label=lambda a: "good"), "sample 0: label must be a number like the others, found str"),
        (first(label=lambda a: [[[0.5]]]), "sample 0: label must be a number"),
    ],
)
def test_a_spoilt_pickle_is_refused_and_the_place_is_named(tmp_path, change, says):
    respoken(change)(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        cmu.read_words("mosi", tmp_path)
    assert "\n" not in str(caught.value) and "train.pkl" in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda sample: sample.pop("label"), "sample 2 must be a dictionary with 'label'"),
        (lambda sample: sample.update(label=7), "classes from 0 to 6"),
        (lambda sample: sample.update(label=2.5), "classes from 0 to 6"),
        (lambda sample: sample.update(label="joy"), "label must be a number"),
        (lambda sample: sample.update(token_ids=[1, "two", 3]), "text must be a row of whole numbers"),
        (lambda sample: sample.update(token_ids=[2**80] * 3), "text must be a row of whole numbers"),
        (lambda sample: sample["token_ids"].append(1), "video has 3 steps, text 4"),
    ],
)
def test_a_spoilt_meld_is_refused(tmp_path, spoil, says):
    content = speech.meld(tmp_path)
    spoil(content["train"][2])
    speech.dump(tmp_path / "train.pkl", content["train"])
    with pytest.raises(InputError, match=says):
        meld.read("meld", tmp_path)


def test_word_vectors_must_be_a_finite_matrix(tmp_path):
    speech.mm_align(tmp_path)
    path = tmp_path / "embedding_and_mapping.pt"
    for table, says in (
        (torch.full((12, 4), torch.nan), "finite"),
        (torch.zeros(12), "matrix"),
        (torch.zeros(12, 4, dtype=torch.long), "matrix"),
        ("nothing", "matrix"),
    ):
        torch.save((table, {}), path)
        with pytest.raises(InputError, match=says):
            cmu.read_words("mosi", tmp_path)
    torch.save({"table": torch.zeros(12, 4)}, path)
    with pytest.raises(InputError, match="must hold a matrix and a mapping, found a dict"):
        cmu.read_words("mosi", tmp_path)


def test_every_data_set_says_what_its_labels_are():
    assert {*SPEECH} == {"ict-mmmo", "pom", "youtube", "mosi", "mosei", "sims", "meld"}
    assert all(speech.about and speech.low < speech.neutral < speech.high for speech in SPEECH.values())
