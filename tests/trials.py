"""What `fuzzing.py` tries: sound files of every kind, and for each a way to spoil it and a command that meets it."""

import io
import json
import os
import shutil
import sys

import h5py
import numpy as np
import speech
import spoil
import torch
from spoil_hdf5 import spoil_hdf5

import mmalign
from mmalign.data import folders
from mmalign.experiments import grids, runs, tables

# ---- sound files -----------------------------------------------------------------------------------------

GRID = """system: [single, copy]
dataset: planted
pair: first:second
survival: [0.3, 0.7]
seed: [0, 1]
model.width: 8
train.epochs: 3
data.samples: 60
"""


def own_arrays(place):
    draw = np.random.default_rng(0)
    own = {
        "visible": draw.normal(size=(20, 6, 3)),
        "victim": draw.normal(size=(20, 6, 2)),
        "labels": draw.normal(size=20),
    }
    np.savez(place / "arrays.npz", **own, lengths=np.full(20, 5), groups=np.arange(20))


def own_form(place):
    speech.mm_align(place / "raw")
    folders.bring_in("mosi", place / "raw", place / "mosi")
    shutil.rmtree(place / "raw")


def small_data():
    return mmalign.load("planted", survival=0.5, samples=60, longest=6, shortest=3)


def small_model(data):
    return mmalign.MMAlign.from_data(data, mmalign.MMAlignConfig(width=8, warmup=1))


TRAINING = {"epochs": 3, "batch_size": 32}


def own_model(place):
    data = small_data()
    model = small_model(data)
    model.save(place / "model.safetensors")
    mmalign.fit(model, data, mmalign.TrainConfig(**TRAINING), progress=False, checkpoint=place / "state.safetensors")


def own_records(place):
    for seed in (0, 1):
        one = runs.Experiment(
            system="single", dataset="planted", seed=seed, data={"samples": 60}, train={"epochs": 1}, threads=1
        )
        runs.store(runs.run(one, progress=False), place / "out")
    (place / "rows.jsonl").write_text(tables.lines(tables.records(place / "out")))


SOUND = {
    "arrays": own_arrays,
    "hdf5": lambda place: speech.published(place / "ict_mmmo", "ict-mmmo"),
    "own": own_form,
    "words": lambda place: speech.mm_align(place / "raw"),
    "padded": lambda place: speech.mult(place / "raw.pkl"),
    "meld": lambda place: speech.meld(place / "raw"),
    "model": own_model,
    "records": own_records,
    "grid": lambda place: (place / "grid.yaml").write_text(GRID),
}


def prepare(place):
    """Sound files of every kind, made once."""
    for name, make in SOUND.items():
        (place / name).mkdir()
        make(place / name)


# ---- trials: spoil something, then do something ------------------------------------------------------------


def change(path, spoil):
    path.write_bytes(spoil(path.read_bytes()))


def replace_object(draw, path):
    """Another object, or another pickle of it."""
    import pickle

    sys.modules.setdefault("create_dataset", speech)  # where the mapping of words says that its function lives
    content = pickle.loads(path.read_bytes())
    path.write_bytes(spoil.pickled(draw, content))


def arrays(draw, place):
    change(place / "arrays.npz", lambda content: spoil.spoil_zip(draw, content, spoil.spoil_npy))
    return "data check arrays --data-dir ."


def published(draw, place):
    name = draw.choice(["audio_train.h5", "y_test.h5", "video_valid.h5"])
    spoil_hdf5(draw, place / "ict_mmmo" / name, "d1")
    return "data check ict-mmmo --pair audio:video --data-dir ."


def own(draw, place):
    path = place / "mosi/imported.h5"
    if draw.random() < 0.5:
        change(path, lambda content: spoil.spoil_bytes(draw, content))
    elif draw.random() < 0.5:
        with h5py.File(path, "a") as file:
            told = spoil.spoil_value(draw, json.loads(file.attrs["manifest"]), plain=True)
            text = spoil.dumps(draw, told).encode(errors="replace").decode()
            file.attrs["manifest"] = text if draw.random() < 0.9 else np.arange(4)
    else:
        spoil_hdf5(draw, path, draw.choice(["lengths", "labels", "parts", "features/audio", "table/text", "features"]))
    return "data check mosi --data-dir ." if draw.random() < 0.8 else "data info mosi --data-dir ."


def words(draw, place):
    if draw.random() < 0.4:
        change(place / "raw/embedding_and_mapping.pt", lambda old: spoil_embedding(draw, old))
    else:
        replace_object(draw, place / "raw" / draw.choice(["train.pkl", "dev.pkl", "test.pkl"]))
    return "data import mosi raw --data-dir ."


def spoil_embedding(draw, old):
    if draw.random() < 0.4:
        return spoil.spoil_zip(draw, old, spoil.spoil_torch)
    plain = torch.zeros(12, 4)
    odd = [torch.zeros(1).expand(10**6, 10**6), plain.T, plain.half(), torch.nn.Parameter(plain), plain.bfloat16()]
    table = draw.choice([plain, plain.numpy(), *odd])
    packed = io.BytesIO()
    held = spoil.spoil_value(draw, (table, {"w": 1}), chance=0.1) if draw.random() < 0.5 else (table, {"w": 1})
    try:
        torch.save(held, packed, _use_new_zipfile_serialization=draw.random() < 0.5)
    except (RecursionError, ValueError, OverflowError):  # too deep, or too many digits, for those who write as well
        return old[:99]
    content = packed.getvalue()
    return content if draw.random() < 0.5 else spoil.spoil_bytes(draw, content)


def padded(draw, place):
    replace_object(draw, place / "raw.pkl")
    return "data import mosei raw.pkl --data-dir ."


def meld(draw, place):
    replace_object(draw, place / "raw" / draw.choice(["train.pkl", "test.pkl", "embedding.p"]))
    return "data import meld raw --data-dir ."


def model(draw, place):
    change(place / "model.safetensors", lambda content: spoil.spoil_safetensors(draw, content))
    return lambda: mmalign.MMAlign.restore("model.safetensors")


def state(draw, place):
    change(place / "state.safetensors", lambda content: spoil.spoil_safetensors(draw, content))
    data = small_data()
    config = mmalign.TrainConfig(**TRAINING)
    return lambda: mmalign.fit(small_model(data), data, config, progress=False, checkpoint="state.safetensors")


def records(draw, place):
    lines = (place / "rows.jsonl").read_text().splitlines()
    at = draw.randrange(len(lines))
    if draw.random() < 0.3:
        lines[at] = spoil.spoil_bytes(draw, lines[at].encode()).decode(errors="replace")
    else:
        told = json.loads(lines[at])
        for _ in range(draw.choice([1, 1, 3])):
            told = spoil.spoil_value(draw, told, plain=True, chance=0.1)
        try:
            lines[at] = spoil.dumps(draw, told)
        except (ValueError, RecursionError):
            lines[at] = "[" * 100_000
    (place / "rows.jsonl").write_bytes(
        "\n".join(lines).encode(errors="surrogatepass" if draw.random() < 0.5 else "replace")
    )
    if draw.random() < 0.3:
        shutil.copy(place / "rows.jsonl", place / "out" / "more.json")
        return f"table out --format {draw.choice(['markdown', 'csv', 'latex', 'jsonl'])}"
    return f"table rows.jsonl --format {draw.choice(['markdown', 'csv', 'latex', 'jsonl'])}"


def grid(draw, place):
    (place / "grid.yaml").write_bytes(spoil.spoil_yaml(draw, GRID).encode(errors="replace"))
    return lambda: grids.read_grid("grid.yaml")


def anything(draw, place):
    """Files under names where others are expected, links, pipes and folders."""
    name = draw.choice(
        ["arrays.npz", "mosi/imported.h5", "ict_mmmo/audio_train.h5", "raw.pkl", "raw/train.pkl", "grid.yaml"]
    )
    path = place / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    odd = [
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.symlink_to("/dev/zero"),
        lambda: path.symlink_to(path),
        lambda: path.symlink_to("/nowhere"),
        lambda: path.write_bytes(draw.choice(FRONTS) + draw.randbytes(draw.choice([0, 9, 500]))),
    ]
    draw.choice(odd)()
    return {
        "arrays.npz": "data check arrays --data-dir .",
        "mosi/imported.h5": "data check mosi --data-dir .",
        "ict_mmmo/audio_train.h5": "data check ict-mmmo --data-dir .",
        "raw.pkl": "data import mosei raw.pkl --data-dir .",
        "raw/train.pkl": "data import meld raw --data-dir .",
        "grid.yaml": "sweep grid.yaml --out out",
    }[name]


FRONTS = [
    b"", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x1f\x8b\x08", b"PK\x03\x04",
    b"PK\x05\x06", b"\x89HDF\r\n\x1a\n", b"\x80\x04", b"BZh9", b"\x93NUMPY\x01\x00", b"%PDF",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
]  # fmt: skip

OPTIONS = """
    --system --dataset --pair --survival --setting --seed --labelled --window --mu --epochs --set --device --threads
    --data-dir --resume --json --workers --retry --metric --format
""".split()
FIELDS = """
    model.width model.heads model.window model.mu model.encoder_layers model.kernel model.max_sweeps model.dropout
    model.fitter_width train.lr train.batch_size train.patience train.seed data.samples data.longest data.block
    data.shortest data.noise model.warmup data.nothing train.clip
""".split()
VALUES = """
    0 -1 1 2 1e309 nan inf 'a' None True 1000000 1000000000 4611686018427387904 1e-320 a:b first:second single planted
    smartwatch /dev/null /proc/self/mem . 0.5 {} b'x' 1j 2**99
""".split()
VALUES += [
    "",
    "\x1b[2J",
    "é",
    "\udcff",
    "[1, 2]",
    "1" * 400,
    "9" * 5000,
    "0x" + "f" * 6000,
    "[" * 300,
    "(" * 3000,
    "x" * 5000,
]


BEGINNINGS = [
    "run --system single --dataset planted --epochs 1 --set data.samples=60",
    "data check planted",
    "table out",
    "data info mosi",
    "data check arrays",
    "sweep grid.yaml --out o",
]


def command(draw, place):
    """Words that no one would type."""
    words = draw.choice(BEGINNINGS).split()
    for _ in range(draw.choice([1, 1, 2, 3])):
        option = draw.choice(OPTIONS)
        words.append(option)
        if option == "--set":
            words.append(f"{draw.choice(FIELDS)}={draw.choice(VALUES)}")
        elif option not in ("--resume", "--json", "--retry"):
            words.append(draw.choice(VALUES))
    if draw.random() < 0.3:
        words[draw.randrange(len(words))] = draw.choice(VALUES)
    return words


TRIALS = {  # name -> what spoils and acts, the sound files it needs, its share
    "arrays": (arrays, "arrays", 10),
    "published HDF5": (published, "hdf5", 9),
    "own HDF5": (own, "own", 9),
    "words": (words, "words", 10),
    "padded": (padded, "padded", 10),
    "meld": (meld, "meld", 8),
    "model": (model, "model", 8),
    "state": (state, "model", 5),
    "records": (records, "records", 8),
    "grid": (grid, "grid", 9),
    "anything": (anything, "grid", 5),
    "command": (command, "grid", 8),
}
