"""Small files in exactly the forms that people hand one another: what the readers must read."""

import pickle
from collections import defaultdict
from typing import ClassVar

import h5py
import numpy as np
import torch

COUNTS = {"train": 9, "valid": 4, "test": 5}
WIDTHS = {"text": 4, "video": 3, "audio": 2}
WORDS = 12  # of a vocabulary
PICKLES = {"train": "train.pkl", "valid": "dev.pkl", "test": "test.pkl"}


def return_unk():
    """What the public code names in its word-to-id mapping."""
    return 0


return_unk.__module__ = "create_dataset"  # a module that nobody has


class _Named(pickle._Pickler):
    """Writes the name of a function without looking whether it can be found under it."""

    def save_global(self, thing, name=None):
        if thing is return_unk:
            self.write(b"ccreate_dataset\nreturn_unk\n")
        else:
            super().save_global(thing, name)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, type(return_unk): save_global}


class _Pickling:
    """What torch.save asks of a pickling module."""

    Pickler = _Named
    dumps, loads, Unpickler = pickle.dumps, pickle.loads, pickle.Unpickler


def dump(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def put(path, values, key="d1"):
    with h5py.File(path, "w") as file:
        file[key] = values


def words_of(draw, length):
    """One sample of the word-by-word form, without its label."""
    ids = draw.integers(0, WORDS, size=length)
    visual, acoustic = (draw.normal(size=(length, WIDTHS[name])) for name in ("video", "audio"))
    return ids, visual, acoustic, [f"w{word}" for word in ids]


def mm_align(folder, columns=1, lengths=(3, 1, 6), protocol=4):
    """The pickles of MM-Align and BBFN; returns what is in them, part -> samples."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    content = {}
    for part, count in COUNTS.items():
        samples = []
        for place in range(count):
            label = draw.uniform(-3, 3, size=(1, columns)).astype("f4")
            label[0, 0] = 0 if place == 0 else label[0, 0]
            samples.append((words_of(draw, lengths[place % len(lengths)]), label, f"video[{place}]"))
        content[part] = samples
        dump(folder / PICKLES[part], samples, protocol)
    mapping = defaultdict(return_unk, {f"w{word}": word for word in range(WORDS)})
    table = torch.from_numpy(draw.normal(size=(WORDS, WIDTHS["text"])).astype("f4"))
    torch.save((table, mapping), folder / "embedding_and_mapping.pt", pickle_module=_Pickling)
    return content, table


def mult(path, protocol=4, dtype="f8"):
    """The pickle of MulT and MultiBench, padded to 10 steps in front; returns it with the true lengths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(1)
    content, lengths = {}, {}
    for part, count in COUNTS.items():
        lengths[part] = draw.integers(1, 11, size=count)
        real = np.arange(10) >= 10 - lengths[part][:, None]
        values = {name: draw.normal(size=(count, 10, width)) * real[..., None] for name, width in WIDTHS.items()}
        content[part] = {
            "text": values["text"].astype("f4"),
            "vision": values["video"].astype(dtype),
            "audio": values["audio"].astype(dtype),
            "labels": draw.uniform(-3, 3, size=(count, 1, 1)).astype("f4"),
            "id": np.array([[f"video{place}", "0", "1"] for place in range(count)], dtype=object),
        }
    dump(path, content, protocol)
    return content, lengths


def meld(folder, protocol=4):
    """The pickles of MELD as MM-Align has them."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(2)
    content = {}
    for part, count in COUNTS.items():
        content[part] = []
        for place in range(count):
            ids, visual, acoustic, _ = words_of(draw, 1 + place % 4)
            sample = {"token_ids": ids.tolist(), "video_features": visual, "audio_features": acoustic}
            content[part].append({**sample, "label": place % 7})
        dump(folder / PICKLES[part], content[part], protocol)
    dump(folder / "embedding.p", draw.normal(size=(WORDS, WIDTHS["text"])).astype("f4"), protocol)
    return content


def padded(draw, count, width, in_front, behind, steps=20):
    """(N, 20, width) numbers, zeros at both ends of each sequence."""
    place = np.arange(steps)
    real = (place >= in_front[:, None]) & (place < steps - behind[:, None])
    return draw.normal(size=(count, steps, width)) * real[..., None]


def published(folder, name, widths=WIDTHS):
    """The files of pliang279/MFN of one data set; returns part -> (steps in front, steps behind)."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(3)
    edges = {}
    for part, count in COUNTS.items():
        in_front, behind = draw.integers(0, 8, size=count), draw.integers(0, 8, size=count)
        edges[part] = in_front, behind
        if name == "mosi":
            put(folder / f"X_{part}.h5", padded(draw, count, 325, in_front, behind), "data")
            put(folder / f"y_{part}.h5", draw.uniform(-3, 3, size=count), "data")
            continue
        for modality, file in {"text": "text_{}_emb.h5", "video": "video_{}.h5", "audio": "audio_{}.h5"}.items():
            put(folder / file.format(part), padded(draw, count, widths[modality], in_front, behind))
        labels = {
            "ict-mmmo": np.linspace(1, 5, count),
            "pom": draw.uniform(1, 7, size=(count, 17)),
            "youtube": np.eye(3, dtype="f4")[np.arange(count) % 3],
        }
        put(folder / f"y_{part}.h5", labels[name])
    return edges
