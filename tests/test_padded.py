"""One pickle of padded arrays, in each form that the field hands round: read right, or refused with what it holds."""

import numpy as np
import pytest
import speech
import torch

from mmalign import InputError
from mmalign.data import folders, padded
from mmalign.data.padded import sliced

PARTS = tuple(speech.COUNTS)
THEIRS = {"text": "text", "video": "vision", "audio": "audio"}  # our name -> that of the files


def place_of(part):
    """Where the samples of a part begin in a source."""
    return sum(speech.COUNTS[name] for name in PARTS[: PARTS.index(part)])


@pytest.mark.parametrize(("protocol", "dtype"), [(2, "f8"), (4, "f4"), (4, ">f8"), (5, "f8")])
def test_padding_in_front_is_taken_away(tmp_path, protocol, dtype):
    content, lengths = speech.mult(tmp_path / "mosi_data.pkl", protocol, dtype)
    source = padded.read("mosei", tmp_path / "mosi_data.pkl")
    assert source.lengths.tolist() == np.concatenate([lengths[part] for part in PARTS]).tolist()
    for part in PARTS:
        for place, length in enumerate(lengths[part]):
            at = torch.tensor([place_of(part) + place])
            for ours, theirs in THEIRS.items():
                expected = content[part][theirs][place, 10 - length :].astype("f4")
                np.testing.assert_array_equal(source.features[ours][at][0, :length], expected)


def test_the_logarithm_of_silence_becomes_0_in_audio_alone(tmp_path):
    path = tmp_path / "data.pkl"
    content, _ = speech.mult(path)
    content["train"]["audio"][:2, -1, 1] = -np.inf
    speech.dump(path, content)
    source = padded.read("mosi", path)
    assert source.notes == ("2 values of -inf in audio set to 0",)
    last = source.features["audio"][torch.tensor([0])][0, source.lengths[0] - 1]
    assert last[1] == 0 and last[0] != 0
    cases = [("vision", -np.inf), ("audio", np.inf), ("audio", np.nan)]
    cases += [("text", 1e300), ("audio", -1e300), ("audio", 1e300)]  # finite, but beyond float32
    for name, value in cases:
        content, _ = speech.mult(path)
        content["train"][name] = content["train"][name].astype("f8")
        content["train"][name][3, 9, 1] = value
        speech.dump(path, content)
        says = r".?1e\+300, which float32 cannot hold," if np.isfinite(value) else "NaN or infinity"
        with pytest.raises(InputError, match=f"must be finite, found {says} at sample 3, step 9"):
            padded.read("mosi", path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: content.pop("valid"), "holds train, test; valid or dev or val was expected"),
        (
            lambda content: content["test"].pop("vision"),
            "text, audio, labels, id; vision or video or visual was",
        ),
        (lambda content: content.update(train=3), "under 'train'"),
        (lambda content: content["train"].update(audio={}), "audio must be an array of 3 or more axes"),
        (lambda content: content["train"].update(audio=np.zeros((9, 10))), r"\(N, T, D\)"),
        (lambda content: content["train"].update(audio=np.zeros((8, 10, 2))), "audio holds 8 samples, labels 9"),
        (
            lambda content: content["train"].update(audio=[np.zeros(3), np.zeros(4)]),
            "audio must be one array, found a list",
        ),
        (lambda content: content["train"].update(audio_lengths=[3] * 8, audio=np.zeros((9, 11, 2))), "must be 9 whole"),
        (lambda content: content["train"].update(audio_lengths=[99] * 9, audio=np.zeros((9, 11, 2))), "from 0 to 11"),
        (lambda content: content["train"].update(audio=np.zeros((9, 10, 3))), r"audio has \[3, 2, 2\] features"),
        (lambda content: content["train"].update(labels=np.zeros((9, 2, 2))), "scores from -3 to 3"),
        (lambda content: content["train"].update(labels=np.zeros((0, 1, 1))), "scores from -3 to 3"),
    ],
)
def test_a_spoilt_padded_pickle_is_refused(tmp_path, spoil, says):
    content, _ = speech.mult(tmp_path / "data.pkl")
    spoil(content)
    speech.dump(tmp_path / "data.pkl", content)
    with pytest.raises(InputError, match=says):
        padded.read("mosi", tmp_path / "data.pkl")


# ---- other names, and steps that are not aligned -------------------------------------------------------------


def mmsa(path, low=-3.0, high=3.0, front=False, lengths=True):
    """The pickle of MMSA or CH-SIMS: sound and sight of other steps than the words; returns it with true lengths."""
    draw = np.random.default_rng(4)
    content, true = {}, {}
    for part, count in speech.COUNTS.items():
        steps = {"text": 10, "audio": 40, "vision": 25}
        true[part] = {name: draw.integers(1, most + 1, size=count) for name, most in steps.items()}
        held = {}
        for name, most in steps.items():
            place = np.arange(most)[::-1] if front else np.arange(most)
            real = place < true[part][name][:, None]
            held[name] = (draw.normal(size=(count, most, 3)) * real[..., None]).astype("f4")
        tokens = np.zeros((count, 3, 10), "i8")
        tokens[:, 1] = np.arange(10) < true[part]["text"][:, None]
        held |= {"regression_labels": draw.uniform(low, high, size=count).astype("f4")}
        if lengths:
            held |= {f"{name}_lengths": true[part][name].tolist() for name in ("audio", "vision")}
            held |= {"text_bert": tokens} if not front else {}
        content[part] = held | {"raw_text": np.array(["words"] * count), "id": [f"v{place}" for place in range(count)]}
    speech.dump(path, content)
    return content, true


@pytest.mark.slow
@pytest.mark.parametrize(("name", "low", "high"), [("mosi", -3, 3), ("mosei", -3, 3), ("sims", -1, 1)])
@pytest.mark.parametrize(("front", "lengths"), [(False, True), (True, True), (True, False), (False, False)])
def test_sound_and_sight_are_brought_to_the_words_slice_by_slice(tmp_path, name, low, high, front, lengths):
    content, true = mmsa(tmp_path / "unaligned.pkl", low, high, front, lengths)
    path, _ = folders.bring_in(name, tmp_path / "unaligned.pkl", tmp_path / "out")
    source = folders.read(name, path.parent, ("text", "audio", "video"))
    assert source.notes[0] == padded.BROUGHT
    for part in PARTS:
        for place in range(speech.COUNTS[part]):
            at = torch.tensor([place_of(part) + place])
            words = true[part]["text"][place]
            assert source.lengths[at] == words
            assert source.labels[at].item() == content[part]["regression_labels"][place]
            for ours, theirs in THEIRS.items():
                frames = content[part][theirs][place]
                length = true[part][theirs][place]
                frames = frames[len(frames) - length :] if front else frames[:length]
                slow = [frames[begin : max(end, begin + 1)].mean(0) for begin, end in slices(length, words)]
                np.testing.assert_allclose(source.features[ours][at][0, :words], slow, rtol=1e-5, atol=1e-6)


def slices(frames, words):
    """Which frames each word gets, counted one by one."""
    begins = [word * frames // words for word in range(words)]
    return [*zip(begins, [*begins[1:], frames], strict=True)]


def test_a_slice_of_time_gives_its_mean_and_one_without_a_frame_the_nearest():
    frames = np.arange(7.0)[:, None].astype("f4")
    assert sliced(frames, 7).ravel().tolist() == frames.ravel().tolist()
    assert sliced(frames, 2).ravel().tolist() == [1.0, 4.5]
    assert sliced(frames[:2], 5).ravel().tolist() == [0, 0, 0, 1, 1]
    assert sliced(frames, 1).ravel().tolist() == [3.0]


@pytest.mark.parametrize("called", ["dev", "val"])
def test_other_names_of_the_parts_and_the_labels_and_lists_of_numbers_are_as_good(tmp_path, called):
    content, _ = speech.mult(tmp_path / "data.pkl")
    before = padded.read("mosi", tmp_path / "data.pkl")
    for held in content.values():
        held["regression_labels"] = held.pop("labels").ravel().tolist()
        held["vision"] = [*held["vision"]]
    content[called] = content.pop("valid")
    speech.dump(tmp_path / "data.pkl", content)
    after = padded.read("mosi", tmp_path / "data.pkl")
    assert after.digest == before.digest and torch.equal(after.labels, before.labels)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "is a Git LFS pointer"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "is packed by gzip; unpack it first"),
        (b"\x89HDF\r\n\x1a\n\x00", "is HDF5; a pickle was expected"),
        (b"", "is empty"),
        (b"PK\x03\x04\x00", r"is an archive \(zip\) that was cut off or damaged"),
    ],
)
def test_a_file_that_is_something_else_is_told_what_it_is(tmp_path, content, says):
    (tmp_path / "data.pkl").write_bytes(content)
    with pytest.raises(InputError, match=says):
        padded.read("mosi", tmp_path / "data.pkl")


def test_a_pickle_that_was_cut_off_is_told_so(tmp_path):
    speech.mult(tmp_path / "data.pkl")
    whole = (tmp_path / "data.pkl").read_bytes()
    (tmp_path / "data.pkl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut off"):
        padded.read("mosi", tmp_path / "data.pkl")


def test_a_list_is_told_that_a_dictionary_was_expected(tmp_path):
    speech.dump(tmp_path / "data.pkl", [1, 2])
    with pytest.raises(InputError, match="must hold a dictionary of train, valid, test, found list"):
        padded.read("mosi", tmp_path / "data.pkl")
